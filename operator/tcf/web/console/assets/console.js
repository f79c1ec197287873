// The page: it signs in, follows the stream, and shows the list and one federation.

import { html, render, useEffect, useLayoutEffect, useMemo, useState } from "/htm-preact.js";
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
  // Those of a stream that has just begun.
  coming: null,
  // Are these all that the user may see?
  complete: false,
  // undefined: not known yet. null: there is no such federation for this user.
  selected: undefined,
  steps: [],
};

const keyOf = (federation) => `${federation.namespace}/${federation.name}`;

/** What a state becomes by an event of the stream. */
function after(state, kind, data) {
  switch (kind) {
    case "session":
      return { ...state, session: data, coming: new Map() };
    case "federations": {
      // Until all are there, what was known before is shown.
      const known = new Map(state.coming || state.federations);
      for (const each of data) known.set(keyOf(each), each);
      return state.coming ? { ...state, coming: known } : { ...state, federations: known };
    }
    case "live":
      return { ...state, complete: data.complete, federations: state.coming || state.federations, coming: null };
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

/** The state that the stream reports. `attempt` changes when somebody signs in or out. */
function useStream(token, attempt, selected) {
  const [state, setState] = useState(NOTHING);
  const visible = useVisible();
  // All layout effects: what was shown goes at once, together with the stream that brought it.
  useLayoutEffect(() => setState(NOTHING), [token, attempt]);
  useLayoutEffect(() => {
    setState((old) => ({ ...old, selected: undefined, steps: [] }));
  }, [token, attempt, selected]);
  useLayoutEffect(() => {
    // A browser opens six connections to a server at most. So pages that nobody looks at leave them to others.
    if (!visible) return undefined;
    setState((old) => ({ ...old, link: "connecting", why: "", heard: old.link === "open" ? Date.now() : old.heard }));
    const query = selected ? `?selected=${encodeURIComponent(selected)}` : "";
    return openStream(`/console/events${query}`, token, {
      event: (kind, data) => setState((old) => after(old, kind, data)),
      live: () => setState((old) => ({ ...old, link: "open", why: "" })),
      lost: (why, heard) => setState((old) => ({ ...old, link: "lost", why, heard: heard || old.heard })),
      denied: (status, why) => setState({ ...NOTHING, link: "denied", status, why }),
    });
  }, [token, attempt, selected, visible]);
  return state;
}

function useVisible() {
  const [visible, setVisible] = useState(!document.hidden);
  useEffect(() => {
    const changed = () => setVisible(!document.hidden);
    document.addEventListener("visibilitychange", changed);
    return () => document.removeEventListener("visibilitychange", changed);
  }, []);
  return visible;
}

/** The federation in the URL, as NAMESPACE/NAME; "" for none. */
function useHash() {
  const read = () => /^#\/([^/]+\/[^/]+)$/.exec(location.hash)?.[1] || "";
  const [value, setValue] = useState(read);
  useEffect(() => {
    const changed = () => setValue(read());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return value;
}

function Console() {
  const [{ token, attempt }, setLogin] = useState(() => ({ token: sessionStorage.getItem(TOKEN) || "", attempt: 0 }));
  const selected = useHash();
  const state = useStream(token, attempt, selected);
  const live = state.link === "open";
  const { federations, complete } = state;
  // A list of a thousand is drawn only when it has changed.
  const list = useMemo(
    () => html`<${FederationList} federations=${federations} complete=${complete} selected=${selected} />`,
    [federations, complete, selected],
  );
  const signIn = (value) => {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
    setLogin((old) => ({ token: value, attempt: old.attempt + 1 }));
  };
  // A layout effect: the title must not claim anything for longer than the page does.
  useLayoutEffect(() => {
    const { selected: shown } = state;
    document.title = live && shown ? `${shown.active || "nobody"} is active: ${shown.name}` : "Cluster federations";
  }, [state.selected, live]);
  useEffect(() => {
    // Whoever has a single federation most likely wants to see that one.
    if (!selected && state.federations?.size === 1) location.replace(`#/${[...state.federations.keys()][0]}`);
  }, [state.federations === null]);
  if (state.link === "denied") {
    if (state.status !== 401) return html`<main><h1>Cluster federations</h1><p class="trouble">${state.why}</p></main>`;
    return html`<${SignIn} key=${attempt} why=${state.why} refused=${Boolean(token)} signIn=${signIn} />`;
  }
  const latest = state.steps[state.steps.length - 1];
  return html`
    <header>
      ${selected && html`<button class="skip" onClick=${() => document.querySelector("article").focus()}>Skip the list</button>`}
      <a class="home" href="#/"><img src="/icon.svg" alt="" width="24" height="24" /> Cluster federations</a>
      ${state.session?.user &&
      html`<span class="user">${state.session.user}</span>
        <button class="plain" onClick=${() => signIn("")}>Sign out</button>`}
    </header>
    <${Banner} state=${state} />
    <main class=${selected ? "with-selected" : ""} data-live=${live ? "yes" : "no"}>
      ${list}
      ${selected &&
      html`<${FederationPage}
        key=${selected}
        name=${selected}
        federation=${state.selected}
        steps=${state.steps}
        live=${live}
        token=${token}
      />`}
    </main>
    <div class="heard" role="status">${latest ? latest.text : ""}</div>
    ${state.session && html`<footer>tcf-operator ${state.session.version}</footer>`}
  `;
}

function Banner({ state }) {
  if (state.link === "open") return null;
  if (!state.federations && state.link === "connecting") {
    return html`<p class="banner" role="status">Connecting ...</p>`;
  }
  const from = state.heard ? `is from ${clock(state.heard)} and ` : "";
  const known = state.federations ? `What you see ${from}may be wrong by now.` : "Nothing is known yet.";
  const why = state.why ? ` (${state.why})` : "";
  return html`
    <p class="banner bad" role="alert">
      <strong>Not connected.</strong> ${known} Reconnecting automatically.${why}
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
