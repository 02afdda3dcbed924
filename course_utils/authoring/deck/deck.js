// Keys: see HELP. The slide is in the address (#s12), so that a reload stays where it was.
"use strict";

const HELP = `<h3>Keys</h3>
<p>→ ↓ space Page Down: on · ← ↑ Page Up: back · Home, End: first, last slide · comma, full stop: lesson before, after</p>
<p>S: next hint, then the solution of an exercise · N: notes for the teacher · F: full screen · Esc: close · ?: this help</p>`;

const slides = [...document.querySelectorAll("main > section")];
const panel = document.querySelector(".panel");
const progress = document.querySelector(".progress");
let current = 0;
let open = "";   // what the panel shows: "", "help", "notes" or "keys"
let hints = 0;   // how many parts of the help are shown

const steps = (slide) => [...slide.querySelectorAll(".step")];

function close() {
  open = "";
  hints = 0;
  panel.hidden = true;
  panel.replaceChildren();
}

// The heights were estimated when the deck was made: where the estimate was too low, everything becomes a little smaller,
// and a formula that is too wide becomes smaller by itself.
function fit(slide) {
  const body = slide.querySelector(".body");
  for (const element of body.children) {
    shrink(element, () => element.scrollWidth > element.clientWidth + 2);
  }
  shrink(body, () => body.scrollHeight > body.clientHeight + 1);
}

function shrink(element, tooLarge) {
  for (let percent = 97; tooLarge() && percent >= 55; percent -= 3) {
    element.style.zoom = percent / 100;
  }
}

function show(index, complete) {
  close();
  slides[current].classList.remove("shown");
  current = Math.max(0, Math.min(index, slides.length - 1));
  const slide = slides[current];
  steps(slide).forEach((step) => step.classList.toggle("done", Boolean(complete)));
  slide.classList.add("shown");
  fit(slide);
  progress.style.width = `${(100 * (current + 1)) / slides.length}%`;
  history.replaceState(null, "", `#${slide.id}`);
}

function forward() {
  const next = slides[current].querySelector(".step:not(.done)");
  if (next) next.classList.add("done");
  else if (current < slides.length - 1) show(current + 1);
}

function back() {
  const done = steps(slides[current]).filter((step) => step.classList.contains("done"));
  if (done.length) done[done.length - 1].classList.remove("done");
  else if (current > 0) show(current - 1, true);
}

function lesson(direction) {
  let index = current + direction;
  while (index > 0 && index < slides.length && !slides[index].classList.contains("part")) index += direction;
  show(index);
}

function template(kind) {
  const name = slides[current].dataset[kind];
  return name ? document.getElementById(name) : null;
}

function toggle(kind, html) {
  const again = open === kind;
  close();
  if (again) return;
  open = kind;
  panel.innerHTML = html;
  panel.hidden = false;
}

function moreHelp() {
  const found = template("help");
  if (!found) return toggle("help", "<p>This slide has no hint and no solution.</p>");
  const parts = [...found.content.children];
  const shown = open === "help" ? hints : 0;
  close();
  if (shown === parts.length) return;
  open = "help";
  hints = shown + 1;
  panel.replaceChildren(...parts.slice(0, hints).map((part) => part.cloneNode(true)));
  panel.hidden = false;
  panel.scrollTop = panel.scrollHeight;
}

function notes() {
  const found = template("notes");
  toggle("notes", found ? found.innerHTML : "<p>No notes for this part.</p>");
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen();
}

const KEYS = {
  ArrowRight: forward, ArrowDown: forward, PageDown: forward, " ": forward, Enter: forward,
  ArrowLeft: back, ArrowUp: back, PageUp: back, Backspace: back,
  Home: () => show(0), End: () => show(slides.length - 1),
  ",": () => lesson(-1), ".": () => lesson(1),
  s: moreHelp, n: notes, f: fullScreen, Escape: close, "?": () => toggle("keys", HELP),
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  // a link keeps its own key
  if (event.key === "Enter" && event.target.closest("a")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const action = event.shiftKey && key === " " ? back : KEYS[key];
  if (!action) return;
  event.preventDefault();
  action();
});

function scale() {
  document.body.style.setProperty("--scale", Math.min(innerWidth / 1280, innerHeight / 720));
}

function fromAddress() {
  const place = slides.findIndex((slide) => `#${slide.id}` === decodeURIComponent(location.hash));
  if (place !== current || !slides[current].classList.contains("shown")) show(Math.max(place, 0));
}

document.documentElement.classList.add("live");
addEventListener("resize", scale);
addEventListener("hashchange", fromAddress);
// on paper there are also the slides that nobody has opened yet
addEventListener("beforeprint", () => {
  for (const slide of slides) {
    const shown = slide.classList.contains("shown");
    slide.classList.add("shown");
    fit(slide);
    slide.classList.toggle("shown", shown);
  }
});
scale();
fromAddress();
