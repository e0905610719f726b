// Keeps a page fresh: every two seconds it is fetched anew, and what is marked with data-live takes the place of what
// stands there, where it differs. Focus, scroll and what was opened or closed stay; nothing is fetched while nobody looks.
"use strict";

const PERIOD_MS = 2000;
const PATIENCE_MS = 6000;
const pause = document.getElementById("pause");
const stale = document.getElementById("stale");
let timer = 0;
let fetching = false;
let paused = false;

function say(text) {
  if (stale.textContent !== text) stale.textContent = text;
}

function kept(region) {
  const focused = document.activeElement;
  const scrolled = [...region.querySelectorAll(".scroll[id]")];
  return {
    focus: region.contains(focused) ? focused.id : "",
    open: new Map([...region.querySelectorAll("details[id]")].map((one) => [one.id, one.open])),
    scroll: scrolled.map((one) => [one.id, one.scrollLeft]),
  };
}

function put(region, fresh) {
  const before = kept(region);
  for (const one of fresh.querySelectorAll("details[id]")) {
    if (before.open.has(one.id)) one.open = before.open.get(one.id);
  }
  if (region.innerHTML === fresh.innerHTML) return;
  region.replaceChildren(...fresh.childNodes);
  for (const [id, left] of before.scroll) {
    const one = document.getElementById(id);
    if (one) one.scrollLeft = left;
  }
  if (before.focus) document.getElementById(before.focus)?.focus({ preventScroll: true });
}

async function refresh() {
  if (fetching || paused || document.hidden) return;
  fetching = true;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch(location.pathname, { redirect: "manual", signal });
    if (answer.type === "opaqueredirect") return location.reload();
    // Whoever may not see it any more is told so by the page itself.
    if (answer.status === 403) return location.reload();
    if (!answer.ok) return say(`The node answers with status ${answer.status}: what stands here is not new.`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const region of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(region.id);
      if (fresh && !paused) put(region, fresh);
    }
    say("");
  } catch {
    say("The node does not answer: what stands here is not new.");
  } finally {
    fetching = false;
    plan();
  }
}

function plan() {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(refresh, PERIOD_MS);
}

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  if (paused) clearTimeout(timer);
  else refresh();
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
plan();
