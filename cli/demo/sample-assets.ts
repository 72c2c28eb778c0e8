/** The sample app's style sheet and its script, which only moves the countdown. */

import { lifeLeft } from './sample-page.ts'

export const SCRIPT = `'use strict'
${lifeLeft.toString()}
const life = document.querySelector('[data-left]')
if (life) {
  const bar = document.querySelector('progress')
  const ends = Date.now() + 1000 * Number(life.dataset.left)
  const clock = setInterval(() => {
    const left = Math.max(0, Math.round((ends - Date.now()) / 1000))
    life.textContent = lifeLeft(left)
    bar.value = left
    if (left === 0) clearInterval(clock)
  }, 1000)
}
`

export const STYLE = `
:root {
  color-scheme: light dark;
  --sky: #eaf1f8; --paper: #ffffff; --navy: #12294a; --ink: #1b2b42; --soft: #52627a; --line: #cfdbe8;
  --coral: #c2412d; --coral-over: #a53422; --on-coral: #ffffff; --edge: #74859c;
  --live: #14705c; --live-well: #ddf3ec; --bad: #9c2c1c; --bad-well: #fdeae6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --sky: #0c1726; --paper: #132238; --navy: #091220; --ink: #e6edf6; --soft: #a3b3c8; --line: #2a3d57;
    --coral: #ff9d8a; --coral-over: #ffb5a6; --on-coral: #3a0f07; --edge: #7389a5;
    --live: #79d9bf; --live-well: #12332f; --bad: #ffab9b; --bad-well: #3b1a17;
  }
}
* { box-sizing: border-box; margin: 0; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { min-height: 100vh; min-height: 100dvh; display: flex; flex-direction: column; background: var(--sky); color: var(--ink); font: 1.0625rem/1.55 Georgia, "Iowan Old Style", "Palatino Linotype", serif; overflow-wrap: anywhere; }
header { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .75rem 2rem; padding: .875rem max(1.25rem, calc(50vw - 20.75rem)); background: var(--navy); color: #ffffff; }
.brand { display: flex; align-items: center; gap: .5rem; font-size: 1.25rem; font-weight: 700; letter-spacing: .01em; }
.brand svg { width: 1.5rem; height: 1.5rem; color: #ff9d8a; }
.who { display: flex; align-items: center; gap: .75rem; font-size: .9375rem; }
.users { display: inline-flex; border: 1px solid #8ea3bf; border-radius: 2rem; padding: 2px; }
.users button { min-height: 2.25rem; padding: .125rem 1rem; border: 0; border-radius: 2rem; background: none; color: #ffffff; font: inherit; cursor: pointer; }
.users button:hover { text-decoration: underline; text-underline-offset: .2em; }
.users button[aria-pressed="true"] { background: #ffffff; color: #12294a; font-weight: 700; text-decoration: none; }
main { flex: 1; width: 100%; max-width: 44rem; margin: 0 auto; padding: 2.5rem 1.25rem; }
main > * + * { margin-top: 1.25rem; }
h1 { font-size: clamp(1.625rem, 1.2rem + 2vw, 2.25rem); line-height: 1.15; letter-spacing: -.01em; text-wrap: balance; }
h2 { font-size: 1.25rem; line-height: 1.3; }
.lead { max-width: 36rem; color: var(--soft); }
.berth { margin-top: 2rem; padding: 1.5rem; border: 1px solid var(--line); border-top: 4px solid var(--coral); border-radius: .375rem; background: var(--paper); }
.berth > * + * { margin-top: 1rem; }
.berth h2 { display: inline-block; margin-right: .75rem; vertical-align: middle; }
.state { display: inline-block; margin-top: .25rem; padding: .125rem .75rem; border-radius: 2rem; border: 1px solid var(--line); color: var(--soft); font-size: .875rem; vertical-align: middle; }
.state.live { border-color: transparent; background: var(--live-well); color: var(--live); }
.state.broken { border-color: transparent; background: var(--bad-well); color: var(--bad); }
.state bdi { font-weight: 700; }
dl { display: grid; gap: .75rem; padding: 1rem 0; border-block: 1px solid var(--line); }
dl div { display: grid; grid-template-columns: 5rem 1fr; gap: .25rem 1rem; align-items: baseline; }
dt { color: var(--soft); }
dd span { font-variant-numeric: tabular-nums; }
code { font: .9em ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
progress { display: block; width: 100%; height: .5rem; margin-top: .5rem; border: 0; border-radius: 1rem; overflow: hidden; appearance: none; background: var(--line); }
progress::-webkit-progress-bar { background: var(--line); }
progress::-webkit-progress-value { background: var(--live); border-radius: 1rem; }
progress::-moz-progress-bar { background: var(--live); border-radius: 1rem; }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; }
main button { min-height: 2.875rem; padding: .5rem 1.375rem; border: 1px solid transparent; border-radius: 2rem; font: inherit; font-weight: 700; cursor: pointer; }
.first { background: var(--coral); color: var(--on-coral); }
.first:hover { background: var(--coral-over); }
.second { border-color: var(--edge) !important; background: transparent; color: var(--ink); }
.second:hover { background: var(--sky); }
:focus-visible { outline: 3px solid var(--coral); outline-offset: 3px; }
header :focus-visible { outline-color: #ff9d8a; }
.notice { padding: .875rem 1.125rem; border-left: 4px solid; border-radius: .375rem; }
.notice.good { background: var(--live-well); border-color: var(--live); }
.notice.bad { background: var(--bad-well); border-color: var(--bad); }
.notice.good strong { color: var(--live); }
.notice.bad strong { color: var(--bad); }
.aside { color: var(--soft); font-size: .875rem; }
footer { padding: 1.25rem max(1.25rem, calc(50vw - 20.75rem)); border-top: 1px solid var(--line); color: var(--soft); font-size: .875rem; }
@media (max-width: 30rem) { header, footer { padding-inline: 1rem; } main { padding: 1.75rem 1rem; } .berth { padding: 1.25rem; } .actions form, .actions button, .berth > form button { width: 100%; } }
`
