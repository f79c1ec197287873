// All federations, a row each.

import { html, useState } from "/htm-preact.js";
import { stateOf } from "/words.js";

const FILTER_FROM = 8;

export function FederationList({ federations, complete, selected }) {
  const [wanted, setWanted] = useState("");
  const [word, setWord] = useState("");
  if (!federations) return html`<nav class="list" aria-label="Federations"></nav>`;
  const all = [...federations.entries()]
    .map(([name, federation]) => ({ name, federation, state: stateOf(federation) }))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
  const counts = new Map();
  for (const each of all) counts.set(each.state.word, (counts.get(each.state.word) || 0) + 1);
  // A state that no federation has any more filters nothing.
  const chosen = counts.has(word) ? word : "";
  const shown = all.filter((each) => each.name.includes(wanted) && (!chosen || each.state.word === chosen));
  return html`
    <nav class="list" aria-label="Federations">
      ${!selected && html`<h1>Federations</h1>`}
      ${all.length > FILTER_FROM &&
      html`<input
        type="search"
        placeholder="Filter by name"
        aria-label="Filter by name"
        value=${wanted}
        onInput=${(event) => setWanted(event.target.value)}
      />`}
      ${counts.size > 1 &&
      html`<p class="counts">
        ${[...counts].map(
          ([each, count]) =>
            html`<button
              key=${each}
              class="count"
              aria-pressed=${each === chosen ? "true" : "false"}
              onClick=${() => setWord(each === chosen ? "" : each)}
            >
              ${count} ${each}
            </button>`,
        )}
      </p>`}
      ${!complete && html`<p class="quiet">Looking for federations that you are allowed to see ...</p>`}
      ${complete && all.length === 0 && html`<p class="quiet">There are no federations that you are allowed to see.</p>`}
      ${all.length > 0 &&
      html`<table>
        <thead>
          <tr>
            <th scope="col">Federation</th>
            <th scope="col">Active</th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          ${shown.map((each) => html`<${Row} key=${each.name} ...${each} current=${each.name === selected} />`)}
        </tbody>
      </table>`}
      ${all.length > 0 && shown.length === 0 && html`<p class="quiet">No federation matches.</p>`}
    </nav>
  `;
}

function Row({ name, federation, state: { word, level }, current }) {
  return html`
    <tr class=${current ? "current" : ""}>
      <th scope="row">
        <a href=${`#/${name}`} aria-current=${current ? "page" : undefined}>
          <span class="namespace">${federation.namespace}/</span>${federation.name}
        </a>
      </th>
      <td>${federation.active || "nobody"}</td>
      <td><span class=${`state ${level}`}>${word}</span></td>
    </tr>
  `;
}
