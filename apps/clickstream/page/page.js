// Shows what the job pushes: one picture of everything, twice a second.
"use strict";

const by = id => document.getElementById(id);
const set = (id, text) => { by(id).textContent = text; };

function element(tag, text, name) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

let clock = new Clock("UTC");
// The last picture, and whether it is the last one of all.
let latest = null;
const chart = new Chart(by("chart"));

function header(picture) {
  if (clock.name !== picture.zone) clock = new Clock(picture.zone);
  set("job", picture.job);
  document.title = `${picture.health.word} · ${picture.job}`;
  set("wall", clock.second(picture.wall_time));
  set("zone", picture.zone);
  by("health").dataset.level = picture.health.level;
  set("state", picture.health.word);
  set("cause", picture.health.text);
}

const WORDS = { fine: "fine", slow: "slow", away: "away" };

function store(one, now) {
  const card = element("div", "", `store ${one.state}`);
  const title = element("h3", one.title);
  const since = one.state === "away" && one.since !== null ? ` since ${clock.near(one.since, now)}` : "";
  title.append(element("span", WORDS[one.state] + since, "word"));
  card.append(title);
  if (one.place) card.append(element("p", one.place, "place"));
  const within = one.latency ? `, 99 % within ${latency(one.latency.p99)}` : "";
  const written = `${number(one.written)} rows written${within}`;
  const late = one.oldest_ms >= 1000;
  const age = one.oldest_ms === null ? "" : `, the oldest for ${duration(one.oldest_ms)}`;
  const waits = one.unwritten > 0 && (late || one.state !== "fine");
  card.append(waits ? element("p", `${number(one.unwritten)} wait${age}`, "waits") : element("p", written, "written"));
  if (one.why) {
    const tried = one.attempts > 1 ? ` (${number(one.attempts)} attempts)` : "";
    card.append(element("p", one.why + tried, "why"));
  }
  return card;
}

// What hurts comes first.
const ORDER = { away: 0, slow: 1, fine: 2 };

function stores(picture) {
  const all = [...picture.stores].sort((one, other) => ORDER[one.state] - ORDER[other.state]);
  by("stores").hidden = all.length === 0;
  by("stores").replaceChildren(...all.map(one => store(one, picture.wall_time)));
}

// Those that the job's state does not tell already.
function troubles(picture) {
  const text = one => `${one.subject}: ${one.why}`;
  const others = picture.troubles.filter(one => text(one) !== picture.health.text);
  by("troubles").hidden = others.length === 0;
  by("trouble-list").replaceChildren(...others.map(one => {
    const row = element("li", text(one));
    const attempts = one.attempts < 2 ? "" : `, ${number(one.attempts)} attempts`;
    row.append(element("small", ` for ${duration(one.lasts_ms)}${attempts}`));
    return row;
  }));
}

const listed = (...parts) => parts.filter(part => part).join(", ");

// Label, large text and note for where the job is in event time.
function progress(picture) {
  const { progress: { kind, at, behind, speed, left }, wall_time: now, watermark_held_by: holder } = picture;
  const held = holder === "" ? "" : `held by ${holder}`;
  const times = speed < 10 ? Number(speed?.toFixed(1)) : number(speed);
  const fast = speed === null || speed === undefined ? "" : `, at ${times}× real time`;
  switch (kind) {
    case "live": return ["Event time", clock.near(at, now), listed(`${duration(behind)} behind the clock`, held)];
    case "quiet": return ["Newest event", clock.near(at, now), "all is read, nothing newer has come"];
    case "replay": return ["Replay, event time", clock.near(at, now), `old data${fast}`];
    case "behind": {
      const note = left === null ? listed("not catching up", held) : `caught up in about ${duration(left)}`;
      return ["Behind the clock", duration(behind), note];
    }
    case "ended": return ["Last event", clock.near(at, now), "the input has ended"];
    default: return ["Event time", "–", held || "no event yet"];
  }
}

function tile(id, state) {
  by(`${id}-tile`).dataset.level = state;
}

function metrics(picture) {
  const { latency: both, oldest_ms: oldest, unread } = picture;
  set("rate-label", picture.over ? "Events" : "Events per second");
  set("rate", number(picture.over ? picture.events : picture.events_per_second));
  set("events", picture.over ? "in all" : `${number(picture.events)} in all`);
  const [label, large, note] = progress(picture);
  set("progress-label", label);
  set("progress", large);
  set("progress-note", note);
  tile("progress", picture.progress.kind === "behind" ? "warn" : "");
  by("unread-tile").hidden = unread === null;
  set("unread", unread === null ? "–" : number(unread));
  set("unwritten", number(picture.unwritten));
  const late = oldest >= 1000;
  set("oldest", picture.unwritten > 0 && late ? `rows, the oldest for ${duration(oldest)}` : "rows");
  const away = picture.stores.some(one => one.state === "away");
  tile("unwritten", away && picture.unwritten > 0 ? "bad" : "");
  for (const part of ["p50", "p99"]) {
    const bound = both?.[part];
    set(part, bound ? latency(bound) : "–");
    tile(part, bound?.at_least ? "bad" : "");
  }
}

function minute(rows, starts, index) {
  const row = rows[index];
  set("pv", row ? number(row.pv) : "–");
  set("uv", row ? number(row.uv) : "–");
  set("minute", row ? `in the minute from ${clock.minute(starts[index])}` : "");
}

function minutes(picture) {
  const starts = Object.keys(picture.minutes).map(Number).sort((a, b) => a - b);
  const rows = starts.map(start => picture.minutes[start]);
  by("chart").hidden = rows.length === 0;
  if (rows.length === 0) {
    minute(rows, starts, 0);
    return set("minute", "A minute is shown when event time has passed its end.");
  }
  const shown = index => minute(rows, starts, index ?? rows.length - 1);
  chart.onCursor = shown;
  chart.show(clock, [starts.map(ms => ms / 1000), rows.map(row => row.pv), rows.map(row => row.uv)]);
  shown(chart.plot.cursor.idx ?? null);
}

function hotItems(picture) {
  const { hot_items: hot, data_until: until, wall_time: now } = picture;
  const window = () => `the hour until ${clock.near(hot.window_end, now, "minute")}`;
  const partial = () => `not a whole hour: data until ${clock.near(until, now)}`;
  const none = "The first ranking comes after five minutes of event time.";
  set("hot-window", !hot ? none : until === null ? window() : partial());
  by("hot").dataset.end = hot ? hot.window_end : "";
  const most = Math.max(1, ...(hot ? hot.items : []).map(([, count]) => count));
  by("hot").replaceChildren(...(hot ? hot.items : []).map(([item, count]) => {
    const row = element("li", item);
    row.style.setProperty("--share", `${(100 * count) / most}%`);
    row.append(element("b", number(count)));
    return row;
  }));
}

function deadLetters(picture) {
  const { dead_letters: all, reasons, samples } = picture;
  set("dead", all === 0 ? "none" : number(all));
  by("reason-table").hidden = reasons.length === 0;
  by("reasons").replaceChildren(...reasons.map(one => {
    const row = document.createElement("tr");
    row.append(element("td", number(one.letters), "count"), element("td", one.stage, "stage"));
    row.append(element("td", one.reason));
    return row;
  }));
  by("newest").hidden = samples.length === 0;
  by("samples").replaceChildren(...samples.map(sample => {
    const row = element("li", `${sample.place} · ${sample.stage}: ${sample.reason}`);
    row.append(element("code", sample.raw));
    return row;
  }));
}

function checkpoints(picture) {
  const { counts, history } = picture.checkpoints;
  by("checkpoints").hidden = counts.total === 0 && counts.restored === 0;
  for (const count of ["completed", "failed", "restored"]) set(count, number(counts[count]));
  by("history").replaceChildren(...history.map(one => {
    const row = document.createElement("tr");
    const took = one.end_to_end === null ? "–" : `${number(one.end_to_end)} ms`;
    const at = clock.near(one.trigger_time, picture.wall_time);
    const status = one.status.toLowerCase().replace("_", " ");
    const cells = [one.id, one.kind, status, at, took, size(one.bytes), size(one.bytes_written)];
    row.append(...cells.map(cell => element("td", cell)));
    if (one.failure !== null) {
      row.className = "failed";
      row.children[2].append(element("span", `: ${one.failure}`));
    }
    return row;
  }));
}

function show(picture) {
  latest = picture;
  document.body.classList.toggle("lost", false);
  const parts = [header, stores, troubles, metrics, minutes, hotItems, checkpoints, deadLetters];
  for (const part of parts) part(picture);
}

const events = new EventSource("/live");
events.onmessage = event => {
  const picture = JSON.parse(event.data);
  if (picture !== null) show(picture);
};
events.onerror = () => {
  // The job is over, and its process has ended: what stands here stays.
  if (latest?.over) return events.close();
  by("health").dataset.level = "bad";
  document.body.classList.toggle("lost", true);
  set("state", "Not connected");
  const old = latest && ` What stands below is of ${clock.near(latest.wall_time, Date.now())}.`;
  set("cause", `The job's process does not answer.${old ?? ""} It is tried again.`);
};
