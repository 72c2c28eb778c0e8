/** Figures as they are printed, kept and drawn. */

export interface Figure {
  /** What documents and charts know it by. */
  readonly id: string
  readonly what: string
  readonly value: number
  readonly unit: string
  /** What belongs to it: times, processor, memory. */
  readonly more?: Readonly<Record<string, number>>
  /** What it takes to understand it. */
  readonly note?: string
}

export interface Run {
  readonly at: string
  readonly machine: string
  readonly versions: Readonly<Record<string, string>>
  readonly options: Readonly<Record<string, unknown>>
  readonly figures: readonly Figure[]
}

/** Units of what stands beside a figure, by how its name ends. */
const UNITS: Readonly<Record<string, string>> = { Ms: ' ms', Micros: ' µs', Mb: ' MB', Share: '', Ratio: '', Bytes: ' bytes' }

export function table(figures: readonly Figure[]): string {
  const rows = figures.map(({ what, value, unit, more = {}, note }) => [
    what,
    `${plain(value)} ${unit}`.trim(),
    [...Object.entries(more).map(said), ...(note === undefined ? [] : [note])].join(', '),
  ])
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map(([what = '', value = '', more = '']) =>
      `${what.padEnd(widths[0] ?? 0)}  ${value.padStart(widths[1] ?? 0)}  ${more}`.trimEnd(),
    )
    .join('\n')
}

export function plain(value: number): string {
  if (!Number.isFinite(value)) return '-'
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3).replace(/\.?0+$/, '')
}

function said([name, value]: [string, number]): string {
  const unit = Object.keys(UNITS).find((end) => name.endsWith(end)) ?? ''
  const words = name.slice(0, name.length - unit.length).replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
  return `${words} ${plain(value)}${UNITS[unit] ?? ''}`
}
