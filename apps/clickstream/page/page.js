// Shows what the job pushes: one picture of everything, twice a second.
"use strict";

const by = id => document.getElementById(id);
const number = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const set = (id, text) => { by(id).textContent = text; };

function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${number.format(Math.round(seconds / 86400))} days`;
}

const latency = ms => (ms === null ? "–" : ms < 10 ? `${ms.toFixed(1)} ms` : `${number.format(ms)} ms`);
const clock = ms => new Date(ms).toISOString().slice(11, 19);

// Wide enough for the longest number.
const widest = (_, labels) => 24 + 8 * Math.max(0, ...(labels ?? []).map(label => label.length));

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name);
const chart = new uPlot({
  width: 600,
  height: 260,
  tzDate: seconds => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
  series: [
    {},
    { label: "PV", stroke: colour("--pv"), width: 2, points: { show: true, size: 5 } },
    { label: "UV", stroke: colour("--uv"), width: 2, points: { show: true, size: 5 } },
  ],
  axes: [
    { stroke: "#8b98a5", grid: { show: false } },
    { stroke: "#8b98a5", grid: { stroke: "#8b98a533" }, size: widest },
  ],
  scales: { y: { range: (_, __, max) => [0, Math.max(10, max * 1.1)] } },
}, [[], [], []], by("chart"));
new ResizeObserver(([entry]) => chart.setSize({ width: entry.contentRect.width, height: 260 })).observe(by("chart"));

function figures(picture) {
  set("job", picture.job);
  set("state", picture.state.toLowerCase());
  set("rate", number.format(picture.events_per_second));
  set("events", number.format(picture.events));
  set("data-time", picture.data_time === null ? "–" : clock(picture.data_time));
  set("behind", picture.data_time === null ? "–" : duration(picture.wall_time - picture.data_time));
  set("holder", picture.watermark_held_by === "" ? "–" : picture.watermark_held_by);
  set("p50", latency(picture.latency_p50_ms));
  set("p99", latency(picture.latency_p99_ms));
}

function minutes(picture) {
  const starts = Object.keys(picture.minutes).map(Number).sort((a, b) => a - b);
  const rows = starts.map(start => picture.minutes[start]);
  chart.setData([starts.map(ms => ms / 1000), rows.map(row => row.pv), rows.map(row => row.uv)]);
  const last = rows.at(-1);
  set("pv", last ? number.format(last.pv) : "–");
  set("uv", last ? number.format(last.uv) : "–");
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function hotItems(picture) {
  const hot = picture.hot_items;
  set("hot-window", hot ? `hour until ${clock(hot.window_end)}` : "none yet: the first comes after 5 minutes of data");
  by("hot").dataset.end = hot ? hot.window_end : "";
  by("hot").replaceChildren(...(hot ? hot.items : []).map(([item, count]) => {
    const row = element("li", item);
    row.append(element("b", number.format(count)));
    return row;
  }));
}

function deadLetters(picture) {
  set("dead", number.format(picture.dead_letters));
  by("samples").replaceChildren(...picture.samples.map(sample => {
    const row = element("li", `${sample.place} · ${sample.stage}: ${sample.reason}`);
    row.append(element("code", sample.raw));
    return row;
  }));
}

function troubles(picture) {
  by("troubles").hidden = picture.troubles.length === 0;
  by("trouble-list").replaceChildren(...picture.troubles.map(one => {
    const row = element("li", `${one.subject}: ${one.why}`);
    const attempts = one.attempts === 0 ? "" : `, ${number.format(one.attempts)} attempts`;
    row.append(element("small", ` for ${duration(one.lasts_ms)}${attempts}`));
    return row;
  }));
}

const size = bytes => (bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`);

function checkpoints(picture) {
  const { counts, history } = picture.checkpoints;
  by("checkpoints").hidden = counts.total === 0 && counts.restored === 0;
  for (const count of ["completed", "failed", "restored"]) set(count, number.format(counts[count]));
  by("history").replaceChildren(...history.map(one => {
    const row = document.createElement("tr");
    const took = one.end_to_end === null ? "–" : `${number.format(one.end_to_end)} ms`;
    const cells = [one.id, one.kind, one.status.toLowerCase().replace("_", " "), clock(one.trigger_time), took, size(one.bytes), size(one.bytes_written)];
    row.append(...cells.map(cell => element("td", cell)));
    if (one.failure !== null) {
      row.className = "failed";
      row.children[2].append(element("span", `: ${one.failure}`));
    }
    return row;
  }));
}

const events = new EventSource("/live");
events.onmessage = event => {
  const picture = JSON.parse(event.data);
  if (picture === null) return;
  for (const part of [figures, troubles, minutes, hotItems, checkpoints, deadLetters]) part(picture);
};
events.onerror = () => set("state", "not connected; trying again…");
