// Views and visitors by minute.
"use strict";

const HEIGHT = 300;
const MINUTE = 60;
// Ticks stand at whole minutes and more.
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440].map(minutes => minutes * MINUTE);

// Wide enough for the longest number.
const widest = (_, labels) => 18 + 7.5 * Math.max(2, ...(labels ?? []).map(label => label.length));

// One point, or a few, stand in ten minutes; the last one at the right.
function timeRange({ data: [starts] }) {
  const last = starts.at(-1) ?? 0;
  return [Math.min(starts[0] ?? 0, last - 10 * MINUTE), last];
}

// The day stands below the first tick and below every first one of a day.
function timeLabels(clock, ticks) {
  return ticks.map((tick, index) => {
    const [now, before] = [tick * 1000, (ticks[index - 1] ?? 0) * 1000];
    const day = index === 0 || clock.day(now) !== clock.day(before) ? `\n${clock.day(now)}` : "";
    return clock.minute(now) + day;
  });
}

class Chart {
  constructor(element) {
    this.element = element;
    this.clock = null;
    this.plot = null;
    this.data = [[], [], []];
    const resize = ([entry]) => this.plot?.setSize({ width: entry.contentRect.width, height: HEIGHT });
    new ResizeObserver(resize).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(clock, data) {
    if (this.clock !== clock) {
      this.clock = clock;
      this.draw();
    }
    this.data = data;
    this.plot.setData(data);
  }

  draw() {
    if (!this.clock) return;
    this.plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = name => resolved(style.getPropertyValue(name));
    const font = "12px system-ui, sans-serif";
    const ink = { stroke: colour("--quiet"), font, ticks: { show: false } };
    const series = (label, name) => {
      const stroke = colour(name);
      const points = { show: (_, __, from, to) => to - from < 60, size: 5, fill: stroke };
      return { label, stroke, width: 2, fill: `${stroke}14`, points };
    };
    const time = (_, ticks) => timeLabels(this.clock, ticks);
    const grid = { stroke: colour("--line"), width: 1 };
    this.plot = new uPlot({
      width: this.element.clientWidth || 600,
      height: HEIGHT,
      padding: [12, 24, 0, 0],
      tzDate: seconds => this.clock.date(seconds),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
      hooks: { setCursor: [plot => this.onCursor?.(plot.cursor.idx ?? null)] },
      series: [{}, series("views", "--pv"), series("visitors", "--uv")],
      axes: [
        { ...ink, size: 48, gap: 9, space: 64, incrs: STEPS, grid: { show: false }, values: time },
        { ...ink, size: widest, space: 40, grid, values: (_, ticks) => ticks.map(short) },
      ],
      scales: { x: { range: timeRange }, y: { range: (_, __, max) => [0, Math.max(10, (max ?? 0) * 1.1)] } },
    }, this.data, this.element);
  }
}

// A canvas does not know light-dark().
function resolved(colour) {
  const probe = document.createElement("i");
  probe.style.color = colour;
  document.body.append(probe);
  const [red, green, blue] = getComputedStyle(probe).color.match(/\d+/g).map(Number);
  probe.remove();
  return `#${[red, green, blue].map(part => part.toString(16).padStart(2, "0")).join("")}`;
}
