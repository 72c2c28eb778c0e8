/** The PostgreSQL store does what every store must. */

import { postgres } from '../../test/postgres.ts'
import { conformance } from './conformance.ts'
import { openPostgresStore } from './postgres.ts'

conformance('postgres', async () => openPostgresStore(await (await postgres()).fresh()))
