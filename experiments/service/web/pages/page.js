// Puts the newest of what stands in #live there: after each event of a job, or every few seconds.
"use strict";

const LEAST_MS = 1500, OFTEN_MS = 5000;
let asking = false, again = false, polling;

async function renew() {
  if (asking) { again = true; return; }
  asking = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) { location.assign(answer.url); return; }  // signed out meanwhile
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = page.getElementById("live"), before = document.getElementById("live");
    if (answer.ok && now && before && !before.contains(document.activeElement)) {
      const open = [...before.querySelectorAll("details")].map((part) => part.open);
      before.replaceChildren(...now.childNodes);
      before.querySelectorAll("details").forEach((part, place) => { part.open = open[place] || false; });
      if (!now.dataset.events && !now.dataset.every) clearInterval(polling);
    }
  } catch { /* the server is not there: the next try may find it */ }
  await new Promise((done) => setTimeout(done, LEAST_MS));
  asking = false;
  if (again) { again = false; renew(); }
}

const live = document.getElementById("live");
if (live && live.dataset.events) {
  const events = new EventSource(live.dataset.events);
  events.addEventListener("evaluation", renew);
  events.addEventListener("state", renew);
  events.addEventListener("end", () => { events.close(); renew(); });
  events.addEventListener("error", () => {  // refused: no room for another stream, or signed out
    if (events.readyState === EventSource.CLOSED) { renew(); polling = setInterval(renew, OFTEN_MS); }
  });
} else if (live && live.dataset.every) {
  polling = setInterval(() => { if (!document.hidden) renew(); }, 1000 * Number(live.dataset.every));
}
