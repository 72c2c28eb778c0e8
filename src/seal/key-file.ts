/** Changes the file that the master keys are read from: whole or not at all, and readable for its owner alone. */

import { randomBytes } from 'node:crypto'
import { type FileHandle, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Row } from '../core/ports.ts'
import { entriesOf, type Keyring, type KeyServices, parseMasterKeys } from './keyring.ts'
import { KEY_BYTES } from './local-key.ts'
import type { MasterKey } from './master-key.ts'

export interface KeyFile {
  readonly path: string
  readonly services: KeyServices
  /** Puts on the disk what a file in the folder is called now. */
  readonly syncFolder: (folder: string) => Promise<void>
}

/** Adds a key that every process can open with and none seals with: a new one, or a reference to one in a key service. Resolves to its id. */
export async function stageKey(file: KeyFile, reference: string | null): Promise<string> {
  const entry = reference ?? randomBytes(KEY_BYTES).toString('base64')
  return changed(file, (entries) => ({ entries: [...entries, `staged:${entry}`], tried: entries.length }))
}

/** Makes a staged key the primary. */
export async function promoteKey(file: KeyFile, id: string): Promise<void> {
  await changed(file, (entries, { all }) => {
    const at = all.findIndex((key) => key.id === id)
    return { entries: [entries[at]!.replace('staged:', ''), ...entries.filter((_, i) => i !== at)], tried: 0 }
  })
}

/** Takes a key out. */
export async function dropKey(file: KeyFile, id: string): Promise<void> {
  await changed(file, (entries, { all }) => ({ entries: entries.filter((_, i) => all[i]?.id !== id), tried: 0 }))
}

/** Of what the file will hold, the key at `tried` must seal and open, or nothing is changed. */
type Change = (entries: readonly string[], keyring: Keyring) => { readonly entries: readonly string[]; readonly tried: number }

/** Resolves to the id of the key that was tried. */
async function changed({ path: named, services, syncFolder }: KeyFile, change: Change): Promise<string> {
  // A link stays one.
  const path = await realpath(named)
  // Its name is the lock: of two commands at once one is refused.
  const draft = `${path}.next`
  const handle = await open(draft, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    throw new Error(refusal(path, draft, error), { cause: error })
  })
  try {
    const before = await readFile(path, 'utf8')
    const { entries, tried } = change(entriesOf(before), parseMasterKeys(before, services))
    // Before it is written: a file that no process could start with is never made.
    const read = (): MasterKey => parseMasterKeys(entries.join('\n'), services).all[tried]!
    const key = read()
    await trial(key, read())
    await write(handle, path, `${entries.join('\n')}\n`)
    await rename(draft, path)
    await syncFolder(dirname(path))
    return key.id
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  } finally {
    await handle.close()
  }
}

/** The key as two processes have it: the one that sealed remembers what it would have to ask a service for. */
async function trial(key: MasterKey, elsewhere: MasterKey): Promise<void> {
  const row: Row = { tenant: '*', table: 'broker_keys', id: 'trial' }
  const dataKey = randomBytes(KEY_BYTES)
  const opened = await elsewhere.unwrap(row, (await key.wrap(row, dataKey)).bytes)
  if (!opened.bytes.equals(dataKey)) throw new Error(`the master key ${key.id} does not open what it seals`)
}

async function write(handle: FileHandle, path: string, text: string): Promise<void> {
  const { uid, gid, mode } = await stat(path)
  const mine = await handle.stat()
  // The administrator's hand must not take the file from the user that the broker runs as.
  if (uid !== mine.uid || gid !== mine.gid) {
    await handle.chown(uid, gid).catch((error: unknown) => {
      throw new Error(`the key file ${path} is another user's: change it as that user, or as root`, { cause: error })
    })
  }
  // Nor from its group, where it reads it by that; whoever else could read it cannot any more.
  await handle.chmod(mode & 0o007 ? 0o600 : mode & 0o640)
  await handle.writeFile(text)
  await handle.sync()
}

function refusal(path: string, draft: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === 'EEXIST')
    return `${draft} is there: another command changes the key file just now, or one was killed while it did; then delete it`
  return `the key file ${path} cannot be changed here (${code ?? message}); change it where it comes from, as docs/operating.md says`
}
