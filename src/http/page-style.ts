/** How our pages look: one small sheet, sent inside the page so that a page is one request, and named by its hash in the policy. */

import { createHash } from 'node:crypto'

// Every pair of text and ground below has a contrast of at least 4.5, every border that means something at least 3.
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f3f1ec; --sheet: #fffefb; --line: #e2ded4; --edge: #8b877b;
  --ink: #1d211f; --soft: #5a5f5a; --well: #f6f4ee;
  --accent: #1f5c4d; --accent-over: #17483c; --on-accent: #ffffff; --string: #b4863b;
  --care: #fdf4dd; --care-line: #d9b561; --care-ink: #5c4206;
  --bad: #a3392b; --bad-well: #fbebe7; --good-well: #e3f0ea;
  --shade: 0 1px 2px rgb(40 36 24 / .06), 0 12px 32px -12px rgb(40 36 24 / .18);
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #121513; --sheet: #1b1f1d; --line: #303632; --edge: #7b857e;
    --ink: #e9ece8; --soft: #a7afa9; --well: #232825;
    --accent: #7fcfb0; --accent-over: #9adfc4; --on-accent: #0d2019; --string: #d8ac63;
    --care: #2b2513; --care-line: #6b5626; --care-ink: #f0d9a0;
    --bad: #f09a8c; --bad-well: #34201c; --good-well: #1d3029;
    --shade: 0 1px 2px rgb(0 0 0 / .4), 0 16px 40px -16px rgb(0 0 0 / .7);
  }
}
* { box-sizing: border-box; margin: 0; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  min-height: 100vh; min-height: 100dvh; display: flex; flex-direction: column; align-items: center; justify-content: center;
  padding: 2rem 1rem; background: var(--ground); color: var(--ink);
  font: 400 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere;
}
main {
  width: 100%; max-width: 29rem; padding: 2.25rem 2.25rem 2rem; border: 1px solid var(--line); border-radius: 1.125rem;
  background: var(--sheet); box-shadow: var(--shade);
}
main > * + * { margin-top: 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.25; font-weight: 650; letter-spacing: -.012em; text-wrap: balance; }
h2 { font-size: .875rem; line-height: 1.4; font-weight: 600; color: var(--soft); }
bdi { font-weight: 600; }
h1 bdi { font-weight: inherit; }
code, .id { font-family: ui-monospace, "SF Mono", SFMono-Regular, Menlo, Consolas, monospace; font-size: .9em; }
.id { padding: .08em .35em; border-radius: .35em; background: var(--well); box-shadow: inset 0 0 0 1px var(--line); -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.soft { color: var(--soft); }
.small { font-size: .875rem; }
.emblem { display: block; width: 3.25rem; height: 3.25rem; padding: .8rem; border-radius: 1rem; background: var(--well); color: var(--soft); }
.emblem svg { display: block; width: 100%; height: 100%; }
.emblem.good { background: var(--good-well); color: var(--accent); }
.emblem.bad { background: var(--bad-well); color: var(--bad); }
.pair { display: flex; align-items: center; justify-content: center; }
.pair svg { flex: 0 1 7rem; min-width: 3.5rem; height: 3rem; color: var(--string); }
.tile {
  flex: none; display: grid; place-items: center; width: 3.25rem; height: 3.25rem; border-radius: 1rem; overflow: hidden;
  background: var(--well); box-shadow: inset 0 0 0 1px var(--line); font-size: 1.375rem; font-weight: 650; line-height: 1;
}
.confirm h1, .owner { text-align: center; }
.owner { margin-top: .625rem; color: var(--soft); }
.owner bdi { color: var(--ink); }
.asked { border: 1px solid var(--line); border-radius: .75rem; overflow: hidden; }
.asked h2 { padding: .625rem .875rem; background: var(--well); }
.asked ul { padding: 0; list-style: none; }
.asked li, .asked p, .asked summary { padding: .5rem .875rem; border-top: 1px solid var(--line); font-size: .9375rem; }
.asked summary { color: var(--accent); font-weight: 600; cursor: pointer; }
.asked bdi { font-weight: 600; }
.asked code span { color: var(--soft); font-weight: 400; }
.care {
  display: grid; grid-template-columns: 1.25rem 1fr; gap: .75rem; padding: .875rem; border: 1px solid var(--care-line); border-radius: .75rem;
  background: var(--care); color: var(--care-ink); font-size: .9375rem;
}
.care svg { width: 1.25rem; height: 1.25rem; margin-top: .08rem; }
.care strong { display: block; margin-bottom: .25rem; }
.care .id { background: none; box-shadow: inset 0 0 0 1px var(--care-line); }
.buttons { display: grid; gap: .625rem; }
button {
  display: block; width: 100%; min-height: 3rem; padding: .625rem 1.25rem; border: 1px solid transparent; border-radius: .75rem;
  font: inherit; font-weight: 600; cursor: pointer; overflow-wrap: anywhere; transition: background-color .12s, border-color .12s, opacity .12s;
}
.go { background: var(--accent); color: var(--on-accent); }
.go:hover { background: var(--accent-over); }
.stay { background: transparent; border-color: var(--edge); color: var(--ink); }
.stay:hover { background: var(--well); }
button:disabled { opacity: .6; cursor: default; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; scroll-margin: .75rem; }
.asked summary:focus-visible { outline-offset: -3px; }
.after { text-align: center; text-wrap: pretty; }
blockquote p + p bdi { font-weight: 400; }
blockquote { padding: .75rem 1rem; border-left: 3px solid var(--edge); border-radius: 0 .5rem .5rem 0; background: var(--well); }
blockquote p + p { margin-top: .25rem; }
footer { display: flex; align-items: center; gap: .5rem; margin-top: 1.5rem; color: var(--soft); font-size: .8125rem; }
.mark { flex: none; width: 1.375rem; height: 1.375rem; color: var(--accent); fill: var(--ground); stroke: var(--ground); }
@media (max-width: 30rem) {
  body { padding: 1rem .75rem; justify-content: flex-start; }
  main { padding: 1.5rem 1.25rem; }
  h1 { font-size: 1.3125rem; }
  main > * + * { margin-top: 1rem; }
  .owner { margin-top: .5rem; }
}
@media (prefers-reduced-motion: reduce) { button { transition: none; } }
@media (forced-colors: active) { .tile, .emblem, .id { border: 1px solid; } .go { border-color: ButtonText; } }
`

export const STYLE_HASH = `sha256-${createHash('sha256').update(STYLE).digest('base64')}`
