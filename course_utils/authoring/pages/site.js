// Theme, contents, search and predictions. Every page can be read without this script.
"use strict";

// --- light and dark: the system decides until the button is used ---

const root = document.documentElement;

function stored(value) {
  try {
    if (value !== undefined) localStorage.setItem("course-theme", value);
    return localStorage.getItem("course-theme");
  } catch {
    return null; // a browser may forbid storage to pages on disk
  }
}

function isDark() {
  const chosen = root.style.colorScheme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// before the page is drawn, so that it never flashes
if (["light", "dark"].includes(stored())) root.style.colorScheme = stored();

function startTheme() {
  const button = document.getElementById("theme");
  const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => {
    root.style.colorScheme = isDark() ? "light" : "dark";
    stored(root.style.colorScheme);
    name();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
}

// --- contents: a drawer on narrow windows, and the lesson one reads is marked ---

function startContents() {
  const button = document.getElementById("menu");
  const contents = document.getElementById("contents");
  const show = (open) => {
    document.body.classList.toggle("contents-open", open);
    button.setAttribute("aria-expanded", String(open));
  };
  button.addEventListener("click", () => show(!document.body.classList.contains("contents-open")));
  contents.addEventListener("click", (event) => { if (event.target.closest("a")) show(false); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") show(false); });

  const lessons = [...contents.querySelectorAll('a[href^="#"]')].map((link) => ({
    link,
    heading: document.getElementById(decodeURIComponent(link.hash.slice(1))),
  }));
  const mark = () => {
    let now = null;
    for (const lesson of lessons) {
      if (lesson.heading.getBoundingClientRect().top < innerHeight / 3) now = lesson;
    }
    for (const lesson of lessons) lesson.link.classList.toggle("now", lesson === now);
  };
  if (!lessons.length) return;
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, { passive: true });
  mark();
}

// --- search: the index is a script, loaded when the field is first used ---

const MOST_RESULTS = 20;
let loading = null;

function loadIndex() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "search-index.js";
    script.onload = () => resolve(window.courseIndex);
    script.onerror = reject;
    document.head.append(script);
  });
  return loading;
}

function holdsAll(text, words) {
  const low = text.toLowerCase();
  return words.every((word) => low.includes(word));
}

// One result for each heading: a term counts most, then the heading, then how often the words occur in a cell.
function find(index, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const best = new Map();
  const offer = (place, score, anchor, line) => {
    const found = best.get(place);
    if (!found) best.set(place, { place, score, anchor, line });
    else if (score > found.score) best.set(place, { place, score: score + 1, anchor, line });
  };
  if (!words.length) return { words, results: [] };
  for (const [place, cell, title, chinese, symbol] of index.terms) {
    if (!holdsAll(`${title} ${chinese} ${symbol}`, words)) continue;
    const whole = words.join(" ");
    const names = [symbol, symbol.split(".").pop(), chinese, title].map((name) => name.toLowerCase());
    const line = [title, chinese, symbol].filter(Boolean).join(" · ");
    offer(place, names.includes(whole) ? 1000 : names[3].startsWith(whole) ? 600 : 400, cell, line);
  }
  index.places.forEach(([, anchor, heading], place) => {
    if (holdsAll(heading, words)) offer(place, 500, anchor, "");
  });
  for (const [place, cell, text] of index.texts) {
    if (!holdsAll(text, words)) continue;
    const low = text.toLowerCase();
    const count = Math.min(...words.map((word) => low.split(word).length - 1));
    offer(place, Math.min(count, 9) * 10, cell, excerpt(text, words[0]));
  }
  const results = [...best.values()].sort((a, b) => b.score - a.score || a.place - b.place);
  return { words, results };
}

function excerpt(text, word) {
  const at = text.toLowerCase().indexOf(word);
  const start = Math.max(0, at - 60);
  const end = Math.min(text.length, at + 120);
  return (start ? "…" : "") + text.slice(start, end) + (end < text.length ? "…" : "");
}

// The text as nodes, with the words marked; never as HTML, because the text may hold code.
function marked(text, words) {
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pieces = text.split(new RegExp(`(${escaped.join("|")})`, "gi"));
  return pieces.map((piece, number) => {
    if (number % 2 === 0) return piece;
    const mark = document.createElement("mark");
    mark.textContent = piece;
    return mark;
  });
}

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function startSearch() {
  const field = document.getElementById("search");
  const panel = document.getElementById("results");

  async function search() {
    const query = field.value.trim();
    panel.hidden = !query;
    if (!query) return;
    let index;
    try {
      index = await loadIndex();
    } catch {
      panel.replaceChildren(element("p", "The file search-index.js is missing beside this page."));
      return;
    }
    if (query !== field.value.trim()) return; // the reader typed on
    const { words, results } = find(index, query);
    const shown = results.slice(0, MOST_RESULTS).map(({ place, anchor, line }) => {
      const [page, , heading, lesson] = index.places[place];
      const [file, title] = index.pages[page];
      const link = element("a", element("b", ...marked(heading, words)));
      link.href = `${file}#${encodeURIComponent(anchor)}`;
      if (line) link.append(element("span", ...marked(line, words)));
      link.append(element("small", [title, lesson].filter((text) => text && text !== heading).join(" › ")));
      return link;
    });
    const count = results.length > MOST_RESULTS ? `The best ${MOST_RESULTS} of ${results.length} places` : "";
    const none = "Nothing found. Try a shorter word, in English or Chinese, or a part of a function's name.";
    if (!results.length || count) shown.unshift(element("p", count || none));
    panel.replaceChildren(...shown);
    panel.scrollTop = 0;
  }

  field.addEventListener("focus", () => { loadIndex().catch(() => {}); if (field.value.trim()) panel.hidden = false; });
  field.addEventListener("input", search);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") panel.querySelector("a")?.click();
  });
  document.addEventListener("keydown", (event) => {
    const links = [...panel.querySelectorAll("a")];
    const inside = event.target === field || panel.contains(event.target);
    if (event.key === "/" && event.target !== field) {
      event.preventDefault();
      field.focus();
    } else if (event.key === "Escape") {
      panel.hidden = true;
      if (inside) field.blur();
    } else if (inside && links.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const next = links.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1);
      (next < 0 ? field : links[Math.min(next, links.length - 1)]).focus();
    }
  });
  panel.addEventListener("click", (event) => { if (event.target.closest("a")) panel.hidden = true; });
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".search")) panel.hidden = true;
  });
}

// --- predictions: what the reader chose is shown beside the truth ---

function startPredictions() {
  const all = [...document.querySelectorAll(".predict, .reveal")];
  all.forEach((question, number) => {
    const answer = all[number + 1];
    if (!question.matches(".predict") || !answer?.matches(".reveal")) return;
    const [guess, truth] = answer.querySelectorAll("b");
    question.addEventListener("change", (event) => {
      guess.textContent = event.target.value + (event.target.value === truth.textContent ? " ✓" : " ✗");
    });
  });
}

document.addEventListener("DOMContentLoaded", () => {
  startTheme();
  startContents();
  startSearch();
  startPredictions();
});
