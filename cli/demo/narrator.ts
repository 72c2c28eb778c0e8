/** Tells the walk: to people step by step, to programs a JSON line each. */

import { print, styled } from '../terminal.ts'
import type { Exchange } from './recorder.ts'
import type { Stage } from './stage.ts'
import type { Step } from './walk.ts'

export interface Narrator {
  prepared(stage: Stage): void
  step(step: Step): void
  finished(ok: boolean): void
  /** It stays up: where to click, and how to stop. */
  staying(stage: Stage): void
}

export function narrator(json: boolean): Narrator {
  return json ? toPrograms : toPeople()
}

const toPrograms: Narrator = {
  prepared: (stage) => line({ event: 'prepared', ...addresses(stage), folder: stage.folder }),
  step: ({ name, failure, ...rest }) => line({ event: 'step', step: name, ok: failure === null, failure, ...rest }),
  finished: (ok) => line({ event: 'finished', ok }),
  staying: (stage) => line({ event: 'staying', ...addresses(stage) }),
}

function line(value: unknown): void {
  print(JSON.stringify(value))
}

function addresses({ sampleApp, brokerUrl, sandbox }: Stage) {
  return { sample_app: sampleApp.url, broker: `${brokerUrl}/healthz`, sandbox: sandbox.url }
}

function toPeople(): Narrator {
  let number = 0
  return {
    prepared({ folder, brokerUrl, sandbox }) {
      print(`${styled('bold', 'Latchstring demo')}: one whole connection, with a master key and a database made for it alone.`)
      print(`The key is in memory, the database in ${folder}; both are gone when it ends.\n`)
      print(`  broker    ${brokerUrl}\n  provider  ${sandbox.url}   a sandbox`)
    },
    step({ name, purpose, exchanges, proofs, failure, ms }) {
      print(`\n${styled('bold', `${++number} ${name.padEnd(10)}`)}${purpose}   ${styled('dim', inMs(ms))}`)
      for (const exchange of exchanges) print(shown(exchange))
      for (const proof of proofs) print(`  ${styled('green', '✔')} ${proof}`)
      if (!failure) return
      print(`  ${styled('red', '✖')} ${failure.what}`)
      print(`      expected  ${JSON.stringify(failure.expected)}\n      got       ${JSON.stringify(failure.got)}`)
    },
    finished(ok) {
      print(
        ok
          ? `\n${styled('green', 'All five steps did what they say.')}`
          : `\n${styled('red', 'The walk ended here: a step did not do what it says.')}`,
      )
    },
    staying(stage) {
      const { sample_app, broker, sandbox } = addresses(stage)
      print('\nStill running, to click through by hand; tokens last a minute here, so that you see them renewed:\n')
      print(`  sample app  ${styled('bold', sample_app)}\n  broker      ${broker}\n  provider    ${sandbox}\n`)
      print('Ctrl+C stops it and deletes what it made.')
    },
  }
}

function shown({ from, to, method, path, status, answer, ms }: Exchange): string {
  const who = `${from.padStart(7)} → ${to.padEnd(8)}`
  const verdict = styled(status < 400 ? 'cyan' : 'yellow', String(status))
  return `  ${who}  ${method} ${path}   ${styled('dim', inMs(ms))}\n${' '.repeat(22)}${verdict} ${answer}`.trimEnd()
}

function inMs(ms: number): string {
  return `${Math.round(ms)} ms`
}
