/** `latchstring doctor`: what is wrong with what is set up, or soon will be, and what to do about it. It asks no provider. */

import type { Command } from 'commander'
import type { App } from '../src/core/app.ts'
import type { CallerRecord } from '../src/core/caller.ts'
import { BrokerError } from '../src/core/errors.ts'
import type { Ports } from '../src/core/ports.ts'
import { isLoopback } from '../src/core/provider-url.ts'
import { registrationOf } from '../src/core/registration.ts'
import { DAY_MS } from '../src/core/usage.ts'
import { FAILED } from './failure.ts'
import { withExamples } from './help.ts'
import { withBroker } from './operator.ts'
import { decoderAdvice } from './runtime-advice.ts'
import { print, printJson, styled } from './terminal.ts'

interface Finding {
  /** `wrong`: somebody is refused because of it. `note`: nobody is, or not yet. */
  readonly level: 'wrong' | 'note'
  readonly about: string
  /** null: everybody's. */
  readonly tenant: string | null
  readonly what: string
  readonly remedy: string
}

/** Time to make a new secret, and to bring it to where it is used. */
const SOON_MS = 30 * DAY_MS

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .description('what is wrong with what is set up, or soon will be, and what to do; ends with 1 if anything is wrong')
    .option('--json', 'for programs')
    .action(async ({ json }: { readonly json?: boolean }) => {
      const found = await withBroker(({ ports }) => findingsOf(ports))
      const wrong = found.filter(({ level }) => level === 'wrong').length
      if (wrong > 0) process.exitCode = FAILED
      if (json) return printJson({ findings: found })
      for (const finding of found) print(paragraphOf(finding))
      print(`${wrong === 0 ? 'nothing' : wrong} wrong, ${found.length - wrong} to note`)
    })
  withExamples(command, {
    'latchstring doctor': 'after setting up, and when something does not work',
    'latchstring doctor --json': 'in a script, once a day',
  })
}

function paragraphOf({ level, about, tenant, what, remedy }: Finding): string {
  const whose = tenant === null ? '' : ` of ${tenant}`
  return `${styled(level === 'wrong' ? 'red' : 'bold', level.padEnd(5))}  ${about}${whose}: ${what}\n       ${remedy}`
}

async function findingsOf(ports: Ports): Promise<Finding[]> {
  const { records } = ports.store
  const apps = await Promise.all((await records.apps(null)).map((app) => ofApp(ports, app)))
  const callers = (await records.callers(null)).map((caller) => ofCaller(caller, ports.now()))
  const found = [...apps.flat(), ...callers.flat(), ...(await ofConnections(ports)), ...ofPlace(ports)]
  return found.sort((a, b) => Number(b.level === 'wrong') - Number(a.level === 'wrong'))
}

async function ofApp(ports: Ports, { tenant, keyCodeRef, userBinding }: App): Promise<Finding[]> {
  const about = { about: `app ${keyCodeRef}`, tenant }
  try {
    await registrationOf(ports, tenant, keyCodeRef)
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    const remedy =
      error.code === 'APP_NOT_FOUND'
        ? `apply a file with that provider, or: latchstring apps remove ${keyCodeRef} --tenant ${tenant}`
        : 'nobody connects with it, and what its connections hold is not renewed, until that is mended'
    return [{ level: 'wrong', ...about, what: error.message, remedy }]
  }
  if (userBinding !== 'none') return []
  return [
    {
      ...{ level: 'note', ...about, what: 'with user_binding none, a forwarded link connects the wrong account' },
      remedy: 'confirm, callback and complete prevent that, each more than the one before',
    },
  ]
}

function ofCaller({ clientId, tenant, expiresAt, disabled }: CallerRecord, now: number): Finding[] {
  if (disabled || expiresAt === null || expiresAt > now + SOON_MS) return []
  const over = expiresAt <= now
  const day = new Date(expiresAt).toISOString().slice(0, 10)
  return [
    {
      ...{ level: over ? 'wrong' : 'note', about: `caller ${clientId}`, tenant },
      what: over ? `refused since it expired on ${day}` : `refused from ${day}, when it expires`,
      remedy: `apply a file with a later day, or: latchstring callers remove ${clientId} --tenant ${tenant}`,
    },
  ]
}

async function ofConnections({ store, journal }: Ports): Promise<Finding[]> {
  const { broken, failing } = await store.connections.count({})
  const toTakeBack = await store.connections.countToTakeBack()
  const waiting = (await journal.entries()).length
  const counted = (level: Finding['level'], count: number, what: string, remedy: string): Finding[] =>
    count === 0 ? [] : [{ level, about: 'connections', tenant: null, what: `${count} ${what}`, remedy }]
  return [
    ...counted('wrong', waiting, 'renewed, and not written: they wait in the journal', 'the database takes no writes: mend that'),
    ...counted('note', broken, 'broken', 'their users must connect again: latchstring connections list --state broken'),
    ...counted('note', failing, 'failing', 'tried again by themselves: latchstring connections list --state failing'),
    ...counted('note', toTakeBack, 'revoked here, and not yet by their providers', 'a running server asks them again'),
  ]
}

function ofPlace({ publicUrl }: Ports): Finding[] {
  const advice = decoderAdvice(process.versions.node)
  return [
    ...(isLoopback(new URL(publicUrl).hostname)
      ? [
          {
            ...{
              level: 'note' as const,
              about: 'server',
              tenant: null,
              what: `only browsers of this machine reach ${publicUrl}`,
            },
            remedy: 'LATCHSTRING_PUBLIC_URL says where all others do',
          },
        ]
      : []),
    ...(advice ? [{ level: 'note' as const, about: 'Node', tenant: null, what: process.versions.node, remedy: advice }] : []),
  ]
}
