/** The broker as it is served, in a process of its own, on whatever the environment says. Started by the bench. */

import { giveBackMemory } from '../cli/give-back.ts'
import { readConfig } from '../src/config.ts'
import { HandOuts } from '../src/core/hand-outs.ts'
import { openBroker, serve } from '../src/main.ts'
import { answering } from './answering.ts'

/** What the token path costs without its audit; no broker can be told to be so. */
class Forgetful extends HandOuts {
  override note(): void {}
}

const asked = new Set(process.argv.slice(2))
const config = readConfig()
const opened = await openBroker(config)
const broker = asked.has('unaudited') ? { ...opened, ports: { ...opened.ports, handOuts: new Forgetful() } } : opened
const server = await serve(broker, config, { ahead: !asked.has('only-callers') })
giveBackMemory()
answering({ address: server.address }, () => server.stop())
