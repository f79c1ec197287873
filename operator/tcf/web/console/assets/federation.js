// One federation: who is active, its members, and what has happened.

import { html, useEffect, useRef, useState } from "/htm-preact.js";
import { SwitchDialog } from "/dialog.js";
import { activeSince, Timeline } from "/timeline.js";
import { CAUSES, clock, sentence, span, stateOf } from "/words.js";

// The status of a condition that means trouble.
const BAD = { Ready: "False", Degraded: "True" };

/** Renders again every second, because times are shown. */
function useTick() {
  const [, setTick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTick((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, []);
}

export function FederationPage({ name, federation, steps, live, token }) {
  const [asked, setAsked] = useState(null);
  const article = useRef(null);
  useTick();
  useEffect(() => article.current?.focus(), []);
  useEffect(() => {
    if (federation === null) setAsked(null);
  }, [federation === null]);
  if (federation === undefined) return html`<article class="one" ref=${article} tabindex="-1"><p class="quiet">Loading ${name} ...</p></article>`;
  if (federation === null) {
    return html`<article class="one" ref=${article} tabindex="-1"><p>There is no federation ${name} that you are allowed to see.</p></article>`;
  }
  const now = {
    wall: Date.now() / 1000 + federation.clocks.wall,
    boot: Date.now() / 1000 + federation.clocks.boot,
  };
  const ask = federation.may.switch ? (kind, member) => setAsked({ kind, member }) : null;
  const { word, level } = stateOf(federation);
  // Then there is nothing to toggle. During a switchover the button keeps the focus, to which the dialog gives it back.
  const idle = !federation.active && !federation.switchover;
  return html`
    <article class="one" aria-labelledby="federation" ref=${article} tabindex="-1">
      <a class="back" href="#/">All federations</a>
      <div class="title">
        <h1 id="federation"><span class="namespace">${federation.namespace}/</span>${federation.name}</h1>
        <span class=${`state ${level}`}>${word}</span>
      </div>
      <${Headline} federation=${federation} now=${now} />
      ${federation.trouble && html`<p class="banner bad" role="alert">${federation.trouble}</p>`}
      <div class="members">
        ${federation.members.map(
          (member) =>
            html`<${Member} key=${member.id} member=${member} federation=${federation} now=${now} ask=${ask} live=${live} />`,
        )}
      </div>
      ${ask &&
      federation.members.length === 2 &&
      html`<p><button class="main" disabled=${!live || idle} onClick=${() => ask("toggle", "")}>Toggle</button></p>`}
      <${Conditions} conditions=${federation.conditions} />
      <h2>Who was active</h2>
      <${Timeline} federation=${federation} now=${now.wall} />
      <${History} history=${federation.history} />
      ${asked &&
      html`<${SwitchDialog} ...${asked} federation=${federation} steps=${steps} live=${live} token=${token}
        close=${() => setAsked(null)} />`}
    </article>
  `;
}

function Headline({ federation, now }) {
  const running = federation.switchover;
  const since = activeSince(federation, now.wall);
  if (running) {
    return html`
      <p class="headline">
        A switchover is under way: from ${running.from || "nobody"} to ${running.to || "nobody"}.
        ${federation.waitsFor && html` It waits for ${federation.waitsFor}.`}
      </p>
    `;
  }
  return html`
    <p class="headline">
      <strong>${federation.active || "Nobody"}</strong> is active${since && ` since ${clock(1000 * since)}`}.
      <span class="quiet"> Term ${federation.term}. ${sentence(federation.failoverState.message)}</span>
    </p>
  `;
}

function Member({ member, federation, now, ask, live }) {
  const active = member.role === "active";
  const able = member.obstacles.length === 0;
  const facts = [
    `${member.liveWorkers} of ${member.workers} ${member.workers === 1 ? "worker" : "workers"} live`,
    member.application && `application ${member.application.toLowerCase()}`,
    member.silentSince && `silent since ${clock(member.silentSince)}`,
    member.heldBy && `held by ${member.heldBy}`,
  ].filter(Boolean);
  return html`
    <section class=${`member ${member.role || "unknown"}`} aria-label=${`Member ${member.id}`}>
      <div class="member-head">
        <h2>${member.id}${member.name !== member.id && html` <span class="quiet">${member.name}</span>`}</h2>
        <span class="role">${member.role || "no role yet"}</span>
      </div>
      <p>${facts.join(", ")}</p>
      ${able
        ? !active && html`<p class="able">Could take over now.</p>`
        : html`<ul class="obstacles">
            ${member.obstacles.map(
              (each) => html`<li key=${each.reason}><strong>${each.reason}</strong>: ${each.message}</li>`,
            )}
          </ul>`}
      ${member.workerDetails.length > 0 &&
      html`<ul class="workers">
        ${member.workerDetails.map((each) => html`<${Worker} key=${each.lease} worker=${each} now=${now} />`)}
      </ul>`}
      ${ask &&
      html`<button disabled=${!live} onClick=${() => ask(active ? "demote" : "promote", member.id)}>
        ${active ? "Demote" : "Promote"} ${member.id}
      </button>`}
    </section>
  `;
}

function Worker({ worker, now }) {
  const left = worker.silentAt - now.boot;
  const whole = 1.1 * worker.leaseSeconds;
  const facts = [
    left > 0 ? `counts as silent in ${span(left)}` : `silent for ${span(-left)}`,
    !worker.upToDate && "has not acknowledged the latest roles",
    worker.application && `application ${worker.application.toLowerCase()}`,
    worker.heldBy && `held by ${worker.heldBy}`,
    worker.problem,
  ].filter(Boolean);
  return html`
    <li>
      <span class="worker-name">${worker.name}</span>
      <meter
        min="0"
        max=${whole}
        low=${whole / 3}
        optimum=${whole}
        value=${Math.max(0, left)}
        aria-label=${`Time left in the Lease of ${worker.name}`}
      ></meter>
      <span>${facts.join(", ")}</span>
    </li>
  `;
}

const serious = (condition) => BAD[condition.type] === condition.status;

function Conditions({ conditions }) {
  if (!conditions.length) return null;
  return html`
    <h2>Conditions</h2>
    <dl class="conditions">
      ${conditions.map(
        (each) => html`
          <div key=${each.type}>
            <dt>${each.type} <span class=${serious(each) ? "value trouble" : "value"}>${each.status}</span></dt>
            <dd>${each.message || each.reason} <span class="quiet">since ${clock(each.since)}</span></dd>
          </div>
        `,
      )}
    </dl>
  `;
}

function History({ history }) {
  if (!history.length) return null;
  return html`
    <h2>History</h2>
    <div class="wide" role="region" aria-label="History" tabindex="0">
      <table class="history">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">From</th>
            <th scope="col">To</th>
            <th scope="col">Cause</th>
            <th scope="col">Outcome</th>
          </tr>
        </thead>
        <tbody>
          ${history.map(
            (past) => html`
              <tr key=${past.id} class=${past.outcome === "Succeeded" ? "" : "failed"}>
                <td><time datetime=${past.finishedAt}>${clock(past.finishedAt)}</time></td>
                <td>${past.from || "nobody"}</td>
                <td>${past.to || "nobody"}</td>
                <td>
                  ${CAUSES[past.trigger] || past.trigger}${past.requestedBy && ` by ${past.requestedBy}`}${past.reason &&
                  `: ${past.reason}`}
                </td>
                <td>${past.outcome}${past.outcome !== "Succeeded" && past.message && ` (${past.message})`}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}
