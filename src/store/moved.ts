/**
 * A SQLite file that is moved to another database, or was: whoever still runs on it can read it and not write it. So tokens are handed out
 * meanwhile, nothing is written that would be left behind, and no refresh token is spent twice, once here and once there.
 */

import type { SqliteFile } from './sqlite-file.ts'

/** SQLITE_CONSTRAINT_TRIGGER: what a write to such a file fails with. */
export const MOVED = 1811

/** Durable, and for every process, old versions included. What only proves that the disk can be written goes on. `move`: where it goes. */
export function closeForWriting(file: SqliteFile, tables: readonly string[], move: number): void {
  file.transaction(() => {
    file.prepare('create table if not exists moved_by (move integer not null)').run()
    file.prepare('insert into moved_by select ? where not exists (select 1 from moved_by)').run(move)
    for (const table of [...tables, 'counters'])
      for (const change of ['insert', 'update', 'delete']) {
        const when = table === 'counters' && change === 'update' ? `when new.name <> 'pings'` : ''
        file
          .prepare(
            `create trigger if not exists moved_${table}_${change} before ${change} on ${table} ${when}
             begin select raise(abort, 'everything was moved to another database'); end`,
          )
          .run()
      }
    if (moveOf(file) !== move) throw new Error('this file is being moved to another database just now')
  })
}

/** Says whether it was closed. */
export function openForWriting(file: SqliteFile): boolean {
  return file.transaction(() => {
    const triggers = triggersOf(file)
    for (const name of triggers) file.prepare(`drop trigger ${name}`).run()
    file.prepare('drop table if exists moved_by').run()
    return triggers.length > 0
  })
}

export function isClosed(file: SqliteFile): boolean {
  return triggersOf(file).length > 0
}

/** The move that closed it; null: it was not closed. */
export function moveOf(file: SqliteFile): number | null {
  return isClosed(file) ? Number(file.prepare('select move from moved_by').get()?.['move']) : null
}

function triggersOf(file: SqliteFile): string[] {
  const found = file.prepare(`select name from sqlite_schema where type = 'trigger' and name like 'moved\\_%' escape '\\'`).all()
  return found.map(({ name }) => String(name))
}
