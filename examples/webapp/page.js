// Shows what the server tells. Texts go into the page as text; only the calendar is HTML, which the library escapes.

const byId = (id) => document.getElementById(id);
const count = (number) => number.toLocaleString("en");
const range = (first, last) => (first === last ? first : `${first} to ${last}`);

const syncButton = byId("sync");
let running = false;
let shown = { failed: "", chunks: "" };

// What the server tells

const stream = new EventSource("/progress");
stream.onmessage = (message) => show(JSON.parse(message.data));
stream.onerror = () => setText(byId("status"), "The server does not answer; trying again …"); // EventSource does that

function show(state) {
  running = state.running !== null;
  for (const button of document.querySelectorAll("button")) button.setAttribute("aria-disabled", running);
  setText(byId("status"), statusOf(state));
  showNumbers(state.progress);
  byId("error").hidden = state.error === null;
  setText(byId("error"), state.error ?? "");
  const before = shown;
  shown = { failed: JSON.stringify(state.failed), chunks: `${running} ${state.progress?.chunks}` };
  if (shown.failed !== before.failed) showFailed(state.failed);
  if (shown.chunks !== before.chunks) refresh();
}

function statusOf({ running, progress, failed, error }) {
  const chunks = progress && `${progress.chunks} of ${progress.total_chunks} chunks`;
  if (running && progress?.waiting_until) {
    const until = new Date(progress.waiting_until).toLocaleTimeString();
    return `Waiting for ${progress.waiting_for} until ${until}: ${chunks}.`;
  }
  if (running) return `Fetching ${running}${chunks ? `: ${chunks}` : ""} …`;
  if (error) return "It ended with an error.";
  if (failed.length) return `Ended, and ${failed.length === 1 ? "one range has" : `${failed.length} ranges have`} failed.`;
  return progress ? "Up to date." : "Nothing runs.";
}

function showNumbers(progress) {
  if (!progress) return byId("bar").setAttribute("value", 0);
  byId("bar").max = progress.total_chunks;
  byId("bar").value = progress.chunks;
  const numbers = {
    chunks: `${count(progress.chunks)} of ${count(progress.total_chunks)}`,
    rows: count(progress.rows),
    bytes: `${(progress.bytes / 1e6).toFixed(1)} MB`,
    retries: count(progress.retries),
    failed: count(progress.failed_chunks),
  };
  for (const [name, text] of Object.entries(numbers)) {
    setText(document.querySelector(`[data-number=${name}]`), text);
  }
}

function showFailed(failed) {
  const hadFocus = byId("failed").contains(document.activeElement);
  byId("failed").hidden = failed.length === 0;
  byId("failed").querySelector("ul").replaceChildren(...failed.map(failedItem));
  if (hadFocus) (byId("failed").querySelector("button") ?? syncButton).focus();
}

function failedItem({ from_date, to_date, error }) {
  const dates = range(from_date, to_date);
  const button = element("button", "Fetch again");
  button.type = "button";
  button.setAttribute("aria-label", `Fetch again ${dates}`);
  button.setAttribute("aria-disabled", running);
  button.onclick = () => post(`/failed/${from_date}/${to_date}`);
  const item = document.createElement("li");
  item.append(element("strong", dates), element("span", error.replace(`${from_date} to ${to_date}: `, "")), button);
  return item;
}

// What the user does

syncButton.onclick = () => post("/sync");

async function post(path) {
  if (running) return; // the buttons keep the focus, so they are not `disabled`
  const response = await fetch(path, { method: "POST" }).catch(() => null); // no server: the stream tells that
  if (response && !response.ok) setText(byId("status"), (await response.json()).error);
}

// What the table holds

let refreshing = false;
let isStale = false;

async function refresh() {
  isStale = true;
  if (refreshing) return; // one at a time: it looks again when it has ended
  refreshing = true;
  while (isStale) {
    isStale = false;
    const [coverage, days] = await Promise.all([load("/coverage"), load("/events-per-day")]);
    if (coverage) byId("coverage").innerHTML = coverage.calendar;
    if (days) showChart(days);
  }
  refreshing = false;
}

async function load(path) {
  const response = await fetch(path).catch(() => null);
  return response?.status === 200 ? response.json() : null; // 204 before the first sync
}

function showChart(days) {
  if (!days.length) return;
  const first = days[0][0];
  const last = days.at(-1)[0];
  const [topDay, top] = days.reduce((most, day) => (day[1] > most[1] ? day : most));
  const place = (day) => (Date.parse(day) - Date.parse(first)) / 86_400_000; // days without events are left blank
  const chart = byId("chart");
  const svg = chart.querySelector("svg");
  svg.setAttribute("viewBox", `0 0 ${place(last) + 1} ${top}`);
  svg.replaceChildren(...days.map(([day, events]) => bar(place(day), day, events, top)));
  const ends = chart.querySelectorAll(".ends span");
  setText(ends[0], first);
  setText(ends[1], last);
  const all = days.reduce((sum, day) => sum + day[1], 0);
  setText(byId("chart-summary"), `${count(all)} events; the most on ${topDay}: ${count(top)}.`);
}

function bar(place, day, events, top) {
  const svg = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);
  const rect = svg("rect");
  const values = { x: place + 0.1, y: top - events, width: 0.8, height: events, "data-day": day };
  for (const [name, value] of Object.entries(values)) rect.setAttribute(name, value);
  rect.append(svg("title"));
  rect.firstChild.textContent = `${day}: ${count(events)} events`;
  return rect;
}

// Small tools

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text; // screen readers read a change, so there is none without need
}
