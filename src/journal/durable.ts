/** What must still be there after the power went: when one of these resolves, it is on the disk. */

import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'

/** How files end that are not whole yet, or never will be. */
export const DRAFT = '.draft'

/** In the place of what has that name, readable for its owner alone, and never seen in part. What a crash leaves half done has the same name and `DRAFT` at its end. */
export async function writeWhole(path: string, text: Uint8Array | string): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString('hex')}${DRAFT}`
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}

/** The name of a file is on the disk when its folder is. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
