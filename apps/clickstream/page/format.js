// How numbers, durations and times are written. All times are in the shop's zone, by a 24-hour clock.
"use strict";

const number = (() => {
  const format = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  return value => format.format(value);
})();

// Short enough for an axis: 950, 12,500, 125K, 1.2M.
const short = (() => {
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  return value => (Math.abs(value) < 100_000 ? number(value) : compact.format(value));
})();

// A number and its unit stay on one line.
function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds}\u00a0s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}\u00a0min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)}\u00a0h`;
  return `${number(Math.round(seconds / 86400))}\u00a0days`;
}

function latency(bound) {
  const { ms, at_least } = bound;
  const text = span(ms);
  return at_least ? `≥\u00a0${text}` : text;
}

function span(ms) {
  if (ms < 10) return `${ms.toFixed(1)}\u00a0ms`;
  if (ms < 1000) return `${number(ms)}\u00a0ms`;
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)}\u00a0s` : duration(ms);
}

function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
}

// A zone of the tz database, or an offset such as +05:30, which not every browser knows.
class Clock {
  constructor(zone) {
    const offset = /^([+-])(\d\d):(\d\d)$/.exec(zone);
    this.name = zone;
    this.zone = offset ? "UTC" : zone;
    const [, sign, hours, minutes] = offset ?? [null, "+", "0", "0"];
    this.shift = (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
    const common = { timeZone: this.zone, hourCycle: "h23" };
    const format = options => new Intl.DateTimeFormat("en-GB", { ...common, ...options });
    const [day, minute] = [{ day: "numeric", month: "short" }, { hour: "2-digit", minute: "2-digit" }];
    this.formats = {
      day: format(day),
      year: format({ ...day, year: "numeric" }),
      minute: format(minute),
      second: format({ ...minute, second: "2-digit" }),
    };
  }

  write(format, ms) { return this.formats[format].format(new Date(ms + this.shift)); }
  day(ms) { return this.write("day", ms); }
  minute(ms) { return this.write("minute", ms); }
  second(ms) { return this.write("second", ms); }
  // With the day where that is another one than today, and with the year where that is another one.
  near(ms, now, format = "second") {
    const time = this.write(format, ms);
    if (this.day(ms) === this.day(now) && Math.abs(now - ms) < 172_800_000) return time;
    const far = Math.abs(now - ms) > 300 * 86_400_000;
    return `${this.write(far ? "year" : "day", ms)}, ${time}`;
  }
  // The local time as uPlot wants it, a Date whose local getters show it.
  date(seconds) { return uPlot.tzDate(new Date(seconds * 1000 + this.shift), this.zone); }
}
