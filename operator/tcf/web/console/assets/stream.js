// Server-Sent Events over fetch, because EventSource cannot send a token.

const RETRY_MS = 1000;
const LONGEST_RETRY_MS = 10000;
// The operator sends something every 5 s.
const SILENT_MS = 12000;
// The operator ends each stream after two minutes. One that ends sooner is not as it should be.
const ORDINARY_MS = 60000;

/** A stream that connects again until it is closed.
 *
 * on.event(kind, data): for each event. on.live(): the page has been told everything.
 * on.lost(why, heard): not connected, or nothing has come since `heard` (milliseconds; null if never).
 * on.denied(status, why): the server refuses this token. Then the stream has ended.
 */
export function openStream(url, token, on) {
  const ending = new AbortController();
  follow(url, token, on, ending.signal);
  return () => ending.abort();
}

async function follow(url, token, on, ended) {
  let wait = RETRY_MS;
  let heard = null;
  while (!ended.aborted) {
    const attempt = new AbortController();
    const giveUp = () => attempt.abort();
    ended.addEventListener("abort", giveUp);
    const begun = Date.now();
    let latest = begun;
    // An interval, and not a timeout: it also notices that the machine was suspended, as soon as it goes on.
    const watch = setInterval(() => Date.now() - latest > SILENT_MS && giveUp(), 1000);
    let why = "the connection to the operator was cut";
    let ordinary = false;
    try {
      const headers = { Accept: "text/event-stream", ...bearer(token) };
      const response = await fetch(url, { headers, signal: attempt.signal, cache: "no-store" });
      if (response.status === 401 || response.status === 403 || response.status === 421) {
        on.denied(response.status, await reason(response));
        return;
      }
      if (!response.ok) throw new Error(await reason(response));
      for await (const event of events(response.body, () => {
        heard = latest = Date.now();
      })) {
        if (event.kind === "trouble") throw new Error(event.data.error);
        on.event(event.kind, event.data);
        if (event.kind === "live") on.live();
        wait = RETRY_MS;
      }
      ordinary = Date.now() - begun > ORDINARY_MS;
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof TypeError)) why = error.message;
    } finally {
      clearInterval(watch);
      ended.removeEventListener("abort", giveUp);
    }
    if (ended.aborted) return;
    if (ordinary) continue;
    on.lost(why, heard);
    await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random() / 2)));
    wait = Math.min(2 * wait, LONGEST_RETRY_MS);
  }
}

async function* events(body, notice) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    notice();
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const event = parsed(text.slice(0, end));
      text = text.slice(end + 2);
      if (event) yield event;
    }
  }
}

function parsed(block) {
  const found = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) found[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
  }
  return found.data === undefined ? null : { kind: found.event, data: JSON.parse(found.data) };
}

/** Ask for a change, or what it would do. Returns {status, body, reason}; status 0 if there is no answer. */
export async function post(path, token, parameters, patience_ms) {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...bearer(token) },
      body: JSON.stringify(parameters),
      cache: "no-store",
      signal: AbortSignal.timeout(patience_ms),
    });
    const body = await response.json();
    return { status: response.status, body, reason: response.headers.get("X-TCF-Reason") };
  } catch {
    return { status: 0, body: { error: "the operator has not answered" }, reason: null };
  }
}

const bearer = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

async function reason(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `the answer was ${response.status}`;
  }
}
