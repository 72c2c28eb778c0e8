/** What is written of tokens that were handed out. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Caller } from './caller.ts'
import { HandOuts } from './hand-outs.ts'
import type { Fact, HandOutFact } from './ports.ts'

const caller: Caller = { name: 'backend', tenant: 't', scopes: new Set() }

function writing() {
  const handOuts = new HandOuts()
  const written: HandOutFact[] = []
  const store = { record: async (facts: readonly Fact[]) => void written.push(...(facts as readonly HandOutFact[])) }
  const note = (session: string, app: string, scopes: readonly string[], by = caller) =>
    handOuts.note({ caller: by, session, at: 1, purpose: null, app, scopes })
  return { note, write: () => handOuts.write({ store } as never), written }
}

const sessions = ({ handedOut }: HandOutFact) => handedOut.tokens.map(([session]) => session)

test('one fact for what a caller got of one app with the same scopes, whether the list is the same one or says the same', async () => {
  const { note, write, written } = writing()
  const list = ['read']
  note('1', 'crm', list)
  note('2', 'crm', ['read'])
  note('3', 'crm', ['read', 'write'])
  note('4', 'mail', list)
  note('5', 'crm', list, { ...caller, name: 'sibling' })
  note('6', 'crm', list)
  await write()
  assert.deepEqual(
    written.map((fact) => [fact.actor, fact.subject, fact.handedOut.scopes, sessions(fact)]),
    [
      ['backend', 'crm', ['read'], ['1', '2', '6']],
      ['backend', 'crm', ['read', 'write'], ['3']],
      ['backend', 'mail', ['read'], ['4']],
      ['sibling', 'crm', ['read'], ['5']],
    ],
  )
})

test('who asks for it to be written while it is being written waits until it is, and a failure is told to the one whose it is', async () => {
  const handOuts = new HandOuts()
  const answers: PromiseWithResolvers<void>[] = []
  const store = {
    record() {
      const answer = Promise.withResolvers<void>()
      answers.push(answer)
      return answer.promise
    },
  }
  const ended: string[] = []
  const write = (name: string) =>
    handOuts.write({ store } as never).then(
      () => ended.push(name),
      () => ended.push(`${name} failed`),
    )
  handOuts.note({ caller, session: '1', at: 1, purpose: null, app: 'crm', scopes: ['read'] })
  const writes = [write('first'), write('second')]
  await turn()
  assert.deepEqual([answers.length, ended], [1, []])
  answers[0]?.reject(new Error('disk full'))
  await turn()
  assert.deepEqual([answers.length, ended], [2, ['first failed']])
  answers[1]?.resolve()
  await Promise.all(writes)
  assert.deepEqual([ended, handOuts.size], [['first failed', 'second'], 0])
})

test('a fact holds so many tokens, and the next one goes on', async () => {
  const { note, write, written } = writing()
  for (let i = 0; i < 600; i++) note(String(i), 'crm', ['read'])
  await write()
  assert.deepEqual(
    written.map((fact) => sessions(fact).length),
    [250, 250, 100],
  )
})
