/** The memory store does what every store must. */

import { conformance } from './conformance.ts'
import { memoryStore } from './memory.ts'

conformance('memory', async () => memoryStore())
