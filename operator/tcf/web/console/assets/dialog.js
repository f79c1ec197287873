// Ask for a switchover: what would happen, a reason, and then what happens.

import { html, useEffect, useLayoutEffect, useRef, useState } from "/htm-preact.js";
import { post } from "/stream.js";
import { KINDS } from "/words.js";

// How long to wait for an answer, in milliseconds. A switchover may take a few times switchoverTimeout.
const LOOK_MS = 15000;
const SWITCH_MS = 900000;

export function SwitchDialog({ kind, member, federation, steps, live, token, close }) {
  const dialog = useRef(null);
  const [plan, setPlan] = useState(null);
  const [force, setForce] = useState(false);
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  // Would force help? Once that is known, the choice stays.
  const [forcible, setForcible] = useState(false);
  // null: not sent. Otherwise when it was sent, and the answer as soon as there is one.
  const [sent, setSent] = useState(null);

  const parameters = {
    namespace: federation.namespace,
    federation: federation.name,
    ...(member && { member }),
    ...(force && { force: true }),
  };
  // Only the answer to the latest question counts.
  const asked = useRef(0);
  const look = async () => {
    const number = (asked.current += 1);
    setPlan(null);
    const answer = await post(`/console/${kind}`, token, { ...parameters, dry_run: true }, LOOK_MS);
    if (number === asked.current) {
      setPlan(answer.status === 200 ? answer.body : { trouble: answer.body.error, lines: [] });
      if (answer.body.objection) setForcible(true);
    }
  };
  useEffect(() => {
    const opened = dialog.current;
    opened.showModal();
    return () => opened.close();
  }, []);
  // Layout effects: an old plan is never shown under a new choice, and the focus is never nowhere.
  useLayoutEffect(() => {
    look();
  }, [force]);
  useLayoutEffect(() => {
    // What had the focus is gone when the request has been sent.
    if (sent) dialog.current.querySelector("[type=button]").focus();
  }, [sent !== null]);

  const send = async (event) => {
    event.preventDefault();
    const begun = Date.now();
    setSent({ begun, answer: null });
    const wish = { ...parameters, expected_term: plan.term, ...(reason.trim() && { reason: reason.trim() }) };
    const answer = await post(`/console/${kind}`, token, wish, SWITCH_MS);
    setSent({ begun, answer, seconds: (Date.now() - begun) / 1000 });
  };

  const outdated = plan && !plan.trouble && plan.term !== federation.term;
  const objected = plan?.objection && !force;
  const ready = plan?.changes && !plan.refusal && !objected && !outdated && live && (!force || typed === member);
  const what = `${KINDS[kind]} ${member || federation.name}`;
  return html`
    <dialog ref=${dialog} aria-labelledby="asked" onClose=${close}>
      <form onSubmit=${send}>
        <h2 id="asked">${sent ? what : `${what}?`}</h2>
        ${sent
          ? html`<${Course} sent=${sent} steps=${steps} />`
          : html`
              <${Verdict} plan=${plan} force=${force} />
              ${outdated &&
              html`<p class="trouble" role="alert">
                The roles have changed since you opened this.
                <button type="button" onClick=${look}>Check again</button>
              </p>`}
              ${plan?.changes &&
              html`
                <label for="reason">Reason (recorded in the history)</label>
                <input
                  id="reason"
                  maxlength="256"
                  autocomplete="off"
                  value=${reason}
                  onInput=${(event) => setReason(event.target.value)}
                />
              `}
              ${kind === "promote" &&
              federation.may.force &&
              forcible &&
              html`
                <label class="check">
                  <input type="checkbox" checked=${force} onChange=${(event) => setForce(event.target.checked)} />
                  Force the promotion
                </label>
              `}
              ${force &&
              html`
                <label for="typed">Type <strong>${member}</strong> to confirm</label>
                <input
                  id="typed"
                  autocomplete="off"
                  value=${typed}
                  onInput=${(event) => setTyped(event.target.value)}
                />
              `}
            `}
        <p class="buttons">
          ${!sent && html`<button class=${force ? "danger" : "main"} disabled=${!ready}>${what}</button>`}
          <button type="button" class=${sent ? "main" : ""} onClick=${() => dialog.current.close()}>
            ${sent ? "Close" : "Cancel"}
          </button>
        </p>
      </form>
    </dialog>
  `;
}

function Verdict({ plan, force }) {
  if (!plan) return html`<p class="quiet" role="status">Checking what this would do ...</p>`;
  if (plan.trouble) return html`<p class="trouble" role="alert">${plan.trouble}</p>`;
  const serious = plan.refusal || plan.objection || force;
  const lines = plan.objection && !force ? [`The operator would refuse that: ${plan.objection.message}`] : plan.lines;
  return html`
    <ul class=${serious ? "verdict serious" : "verdict"} role=${serious ? "alert" : undefined}>
      ${lines.map((line) => html`<li key=${line}>${line}</li>`)}
    </ul>
  `;
}

function Course({ sent, steps }) {
  const happened = steps.filter((step) => step.at >= sent.begun);
  return html`
    <ol class="steps" role="log">
      ${happened.map(
        (step, index) =>
          html`<li key=${index}><span class="quiet">${((step.at - sent.begun) / 1000).toFixed(1)} s</span> ${step.text}</li>`,
      )}
    </ol>
    <${Ending} sent=${sent} />
  `;
}

function Ending({ sent }) {
  const { answer, seconds } = sent;
  if (!answer) {
    return html`<p role="status">In progress. You can close this; the request continues.</p>`;
  }
  if (answer.status === 200) {
    const { active, outcome } = answer.body;
    const done = outcome === "Unchanged" ? "Nothing had to change" : `Done in ${seconds.toFixed(1)} s`;
    return html`<p class="done" role="status"><strong>${done}: ${active || "nobody"} is active.</strong></p>`;
  }
  return html`
    <p class="trouble" role="alert">
      <strong>${heading(answer)}</strong>
      ${" "}${answer.reason && `${answer.reason}: `}${answer.body.error}
    </p>
  `;
}

/** What an answer that is no success means. A proxy may have answered, if there is no reason. */
function heading({ status, reason }) {
  if (status >= 400 && status < 500) return "Refused.";
  if (status === 503 && reason) return "Not carried out.";
  return "It is not known whether this was carried out. Check the history before you try again.";
}
