// Who was active when, as far as the history goes back.

import { html } from "/htm-preact.js";
import { clock, span } from "/words.js";

const WIDTH = 1000;
const ROW = 26;
const LABEL = 0;

/** Spans of time in which a member was active: [{member, begin, end}], the oldest first; times in seconds. */
export function spans(federation, now) {
  const changes = federation.history
    .filter((past) => past.outcome === "Succeeded")
    .map((past) => ({
      begin: Date.parse(past.startedAt || past.finishedAt) / 1000,
      end: Date.parse(past.finishedAt) / 1000,
      from: past.from,
      to: past.to,
    }))
    .reverse();
  const found = [];
  changes.forEach((change, index) => {
    if (!change.to) return;
    const next = changes[index + 1];
    found.push({ member: change.to, begin: change.end, end: next ? next.begin : null });
  });
  const last = found[found.length - 1];
  if (last && last.end === null) {
    last.end = now;
    last.open = federation.active === last.member;
  }
  return found;
}

export function Timeline({ federation, now }) {
  const found = spans(federation, now);
  if (!found.length) return html`<p class="quiet">Nothing has changed yet.</p>`;
  const begin = found[0].begin;
  const length = Math.max(1, now - begin);
  const members = federation.members.map((member) => member.id);
  const x = (moment) => LABEL + ((moment - begin) / length) * (WIDTH - LABEL);
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
        ${found
          .filter((each) => members.includes(each.member))
          .map(
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
