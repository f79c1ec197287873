// Times and names in words.

const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
];

/** A time span, such as 12 s or 5 min. */
export function span(seconds) {
  const rest = Math.max(0, seconds);
  for (const [size, unit] of UNITS) {
    if (rest >= 2 * size) return `${Math.floor(rest / size)} ${unit}`;
  }
  return `${Math.floor(rest)} s`;
}

/** The time of day; with the date if that is not today's. */
export function clock(moment) {
  const date = new Date(moment);
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString() : date.toLocaleString();
}

/** With a capital at the beginning and a full stop at the end. */
export const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

export const KINDS = { toggle: "Toggle", promote: "Promote", demote: "Demote" };

export const CAUSES = {
  api: "request",
  spec: "spec.activeCluster",
  failover: "failover",
  bootstrap: "initial choice",
};

/** The state of a federation in one word, and how serious that is. */
export function stateOf(federation) {
  if (federation.term === null) return { word: "Not started", level: "warning" };
  if (federation.switching) return { word: "Switching", level: federation.degraded ? "bad" : "busy" };
  if (!federation.active) return { word: "Nobody active", level: "bad" };
  if (federation.ready === false) return { word: "Not ready", level: "bad" };
  if (federation.degraded) return { word: "Degraded", level: "warning" };
  if (federation.paused) return { word: "Paused", level: "warning" };
  return { word: "Ready", level: "good" };
}
