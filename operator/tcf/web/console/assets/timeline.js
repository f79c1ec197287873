// Who was active when, as far as the history goes back.

import { html } from "/htm-preact.js";
import { clock, span } from "/words.js";

const WIDTH = 1000;
const ROW = 26;

const seconds = (moment) => Date.parse(moment) / 1000;

/** Spans of time in which a member was active: [{member, begin, end, open}], the oldest first; in seconds.
 *
 * `open`: the member is active now, as far as the history says.
 */
export function spans(federation, now) {
  const found = [];
  const end = (moment) => {
    const last = found[found.length - 1];
    if (last?.open) Object.assign(last, { end: Math.max(last.begin, moment), open: false });
  };
  const begin = (member, moment) => member && found.push({ member, begin: moment, end: now, open: true });
  for (const past of [...federation.history].reverse()) {
    const back = past.outcome === "RolledBack";
    if (past.outcome !== "Succeeded" && !back) continue;
    end(seconds(past.startedAt || past.finishedAt));
    begin(back ? past.from : past.to, seconds(past.finishedAt));
  }
  if (!federation.active) end(seconds(federation.switchover?.requestedAt) || now);
  return found;
}

/** Since when the active member is active, in seconds; undefined if the history does not say. */
export function activeSince(federation, now) {
  const last = spans(federation, now).pop();
  return last?.open && last.member === federation.active ? last.begin : undefined;
}

export function Timeline({ federation, now }) {
  const found = spans(federation, now);
  if (!found.length) return html`<p class="quiet">No switchovers yet.</p>`;
  const begin = found[0].begin;
  const length = Math.max(1, now - begin);
  const members = [...new Set([...federation.members.map((member) => member.id), ...found.map((each) => each.member)])];
  const x = (moment) => ((moment - begin) / length) * WIDTH;
  const height = members.length * ROW;
  const told = found
    .map((each) => `${each.member} from ${clock(each.begin * 1000)} for ${span(each.end - each.begin)}`)
    .join("; ");
  return html`
    <figure class="timeline">
      <div class="lanes">
        ${members.map((member) => html`<div class="lane-name" key=${member}>${member}</div>`)}
      </div>
      <svg viewBox="0 0 ${WIDTH} ${height}" preserveAspectRatio="none" role="img" aria-label=${`Active: ${told}`}>
        ${members.map(
          (member, row) => html`
            <rect class="lane" x="0" y=${row * ROW + 3} width=${WIDTH} height=${ROW - 6} rx="3" />
          `,
        )}
        ${found.map(
          (each) => html`
            <rect
              class=${each.open ? "was now" : "was"}
              x=${x(each.begin)}
              y=${members.indexOf(each.member) * ROW + 3}
              width=${Math.max(2, x(each.end) - x(each.begin))}
              height=${ROW - 6}
              rx="3"
            >
              <title>${each.member}: ${clock(each.begin * 1000)}, ${span(each.end - each.begin)}</title>
            </rect>
          `,
        )}
      </svg>
      <figcaption><span>${clock(begin * 1000)}</span><span>now</span></figcaption>
    </figure>
  `;
}
