/** The sandbox provider in a process of its own, approving at once. Started by the bench. */

import { startSandbox } from '../sandbox/sandbox.ts'
import { answering } from './answering.ts'

const sandbox = await startSandbox({ auto_approve: true })
answering({ address: sandbox.url, provider: sandbox.provider(), app: sandbox.app() }, () => sandbox.close())
