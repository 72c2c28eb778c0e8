/** What must still be there after the power went: when one of these resolves, it is on the disk. */

import { open } from 'node:fs/promises'

/** A new file, readable for its owner alone. */
export async function writeDurably(path: string, text: Uint8Array | string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
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
