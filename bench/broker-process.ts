/** The broker as it is served, in a process of its own, on whatever the environment says. Started by the bench. */

import { readConfig } from '../src/config.ts'
import { openBroker, serve } from '../src/main.ts'
import { answering } from './answering.ts'

const config = readConfig()
const broker = await openBroker(config)
const server = await serve(broker, config, { ahead: process.argv[2] !== 'only-callers' })
answering({ address: server.address }, () => server.stop())
