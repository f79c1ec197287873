// The page: it signs in, follows the stream, and shows the list and one federation.

import { html, render, useEffect, useState } from "/htm-preact.js";
import { FederationPage } from "/federation.js";
import { FederationList } from "/list.js";
import { openStream } from "/stream.js";
import { clock } from "/words.js";

const TOKEN = "tcf-token";
const STEPS_KEPT = 50;
const NOTHING = {
  // connecting, open, lost or denied
  link: "connecting",
  why: "",
  // When something came last, in milliseconds. (Known while the link is lost.)
  heard: null,
  session: null,
  federations: null,
  // undefined: not known yet. null: there is no such federation for this user.
  selected: undefined,
  steps: [],
};

const keyOf = (federation) => `${federation.namespace}/${federation.name}`;

/** What a state becomes by an event of the stream. */
function after(state, kind, data) {
  switch (kind) {
    case "session":
      return { ...state, session: data };
    case "federations":
      return { ...state, federations: new Map(data.map((each) => [keyOf(each), each])) };
    case "federation":
      return { ...state, federations: new Map(state.federations).set(keyOf(data), data) };
    case "gone": {
      const left = new Map(state.federations);
      left.delete(keyOf(data));
      return { ...state, federations: left };
    }
    case "selected": {
      // How far the clocks of this machine are behind those of the operator, in seconds.
      const clocks = data && {
        wall: data.wall - Date.now() / 1000,
        boot: data.boot - Date.now() / 1000,
      };
      return { ...state, selected: data && { ...data, clocks } };
    }
    case "step":
      return { ...state, steps: [...state.steps, { text: data.text, at: Date.now() }].slice(-STEPS_KEPT) };
    default:
      return state;
  }
}

function useStream(token, selected) {
  const [state, setState] = useState(NOTHING);
  useEffect(() => {
    setState((old) => ({ ...old, selected: undefined, steps: [] }));
    const query = selected ? `?selected=${encodeURIComponent(selected)}` : "";
    return openStream(`/console/events${query}`, token, {
      event: (kind, data) => setState((old) => after(old, kind, data)),
      open: () => setState((old) => ({ ...old, link: "open", why: "" })),
      lost: (why, heard) => setState((old) => ({ ...old, link: "lost", why, heard: heard || old.heard })),
      denied: (status, why) => setState({ ...NOTHING, link: "denied", status, why }),
    });
  }, [token, selected]);
  return state;
}

function useHash() {
  const read = () => location.hash.replace(/^#\/?/, "");
  const [value, setValue] = useState(read);
  useEffect(() => {
    const changed = () => setValue(read());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return value;
}

/** Renders again every second, because times are shown. */
function useTick() {
  const [, setTick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTick((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, []);
}

function Console() {
  const [token, setToken] = useState(() => sessionStorage.getItem(TOKEN) || "");
  const selected = useHash();
  const state = useStream(token, selected);
  useTick();
  const signIn = (value) => {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
    setToken(value);
  };
  useEffect(() => {
    const about = state.selected ? `${state.selected.active || "nobody"} is active: ${state.selected.name}` : "";
    document.title = about || "Cluster federations";
  }, [state.selected]);
  useEffect(() => {
    // Whoever has a single federation most likely wants to see that one.
    if (!selected && state.federations?.size === 1) location.replace(`#/${[...state.federations.keys()][0]}`);
  }, [state.federations === null]);
  if (state.link === "denied") {
    return html`<${SignIn} key=${token} why=${state.why} refused=${Boolean(token)} signIn=${signIn} />`;
  }
  const latest = state.steps[state.steps.length - 1];
  return html`
    <header>
      <a class="home" href="#/"><img src="/icon.svg" alt="" width="24" height="24" /> Cluster federations</a>
      ${state.session?.user &&
      html`<span class="user">${state.session.user}</span>
        <button class="plain" onClick=${() => signIn("")}>Sign out</button>`}
    </header>
    <${Link} state=${state} />
    <main class=${selected ? "with-selected" : ""} data-link=${state.link}>
      <${FederationList} federations=${state.federations} selected=${selected} />
      ${selected &&
      html`<${FederationPage}
        key=${selected}
        name=${selected}
        federation=${state.selected}
        steps=${state.steps}
        live=${state.link === "open"}
        token=${token}
      />`}
    </main>
    <div class="heard" role="status">${latest ? latest.text : ""}</div>
    ${state.session && html`<footer>tcf-operator ${state.session.version}</footer>`}
  `;
}

function Link({ state }) {
  if (state.link === "open") return null;
  if (state.link === "connecting") return html`<p class="banner" role="status">Connecting ...</p>`;
  const known = state.federations
    ? `What you see is from ${clock(state.heard)} and may be wrong by now.`
    : "Nothing is known yet.";
  return html`
    <p class="banner bad" role="alert">
      <strong>Not connected.</strong> ${known} The page connects again by itself. (${state.why})
    </p>
  `;
}

function SignIn({ why, refused, signIn }) {
  const submit = (event) => {
    event.preventDefault();
    // Terminals wrap long lines, and then blanks come along.
    signIn(new FormData(event.target).get("token").replace(/\s/g, ""));
  };
  return html`
    <main class="sign-in">
      <h1>Cluster federations</h1>
      <form onSubmit=${submit}>
        <label for="token">Token</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="off"
          pattern="[\\x21-\\x7e\\s]+"
          title="A token consists of ASCII characters."
          required
          autofocus
        />
        <button class="main">Sign in</button>
        <p class=${refused ? "trouble" : "quiet"} role=${refused ? "alert" : undefined}>${why}</p>
        <p class="quiet">The token stays in this tab, and is forgotten when you close it.</p>
      </form>
    </main>
  `;
}

render(html`<${Console} />`, document.getElementById("console"));
