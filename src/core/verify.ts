/** Goes through the history from its first fact and finds the first place where it is not what was sealed. */

import { type Checkpoint, checkpointHash, claimsOf, coveredBy, DIGEST_BYTES, digestOf } from './checkpoint.ts'
import { BrokerError } from './errors.ts'
import type { Standing, Stretch } from './evidence.ts'
import type { Notary } from './ports.ts'

/** The first bad entry. `seq`: of a fact; null: the checkpoint itself is bad. */
export interface Problem {
  readonly kind: 'edited' | 'deleted' | 'inserted' | 'reordered' | 'truncated' | 'replaced'
  readonly checkpoint: number
  readonly seq: number | null
  readonly sentence: string
}

export interface Verdict {
  /** How many were found to be right, before the first problem if there is one. */
  readonly checkpoints: number
  readonly facts: number
  /** Facts that no checkpoint covers yet, and the moment of the oldest of them. */
  readonly unsealed: number
  readonly unsealedSince: number | null
  /** The last checkpoint that was found to be right. */
  readonly head: Checkpoint | null
  readonly problem: Problem | null
}

export interface VerifyOptions {
  /** The signature of a checkpoint that was kept elsewhere: the history must contain it. */
  readonly anchor?: string
  /** Called after each checkpoint with the number of facts so far. */
  readonly progress?: (facts: number) => void
}

interface Anchor {
  readonly number: number
  readonly hash: string
}

/** Throws `INVALID_REQUEST` when the anchor was never signed by this key. */
export async function verifyHistory(
  stretches: AsyncIterable<Stretch>,
  notary: Pick<Notary, 'verify'>,
  { anchor: given, progress = () => {} }: VerifyOptions = {},
): Promise<Verdict> {
  const anchor = given === undefined ? null : anchorOf(notary, given)
  const chain = new Chain(notary, anchor)
  let unsealed: readonly Standing[] = []
  for await (const { checkpoint, facts } of stretches) {
    if (!checkpoint) unsealed = facts
    else if (chain.take(checkpoint, facts)) progress(chain.facts)
    if (chain.problem) return chain.verdict([])
  }
  return chain.verdict(chain.end(unsealed))
}

function anchorOf(notary: Pick<Notary, 'verify'>, given: string): Anchor {
  const claims = notary.verify(given.trim()) as Partial<Anchor> | null
  if (typeof claims?.number === 'number' && typeof claims.hash === 'string') return claims as Anchor
  throw new BrokerError('INVALID_REQUEST', 'the anchor was not signed by this installation, or was altered')
}

class Chain {
  readonly #notary: Pick<Notary, 'verify'>
  readonly #anchor: Anchor | null
  #head: Checkpoint | null = null
  #facts = 0
  #problem: Problem | null = null
  /** Facts whose number a checkpoint missed, so a later one must cover them. */
  readonly #early = new Map<number, Standing>()
  /** By pseudonym, the facts that name nobody any more; and the last that tells of an erasure, which explains those before it. */
  readonly #nameless = new Map<string, number[]>()
  readonly #erased = new Map<string, number>()
  /** Facts that tell of checkpoints that were taken away, and the checkpoint that each is under. */
  readonly #cuts: { readonly seq: number; readonly checkpoint: number }[] = []

  constructor(notary: Pick<Notary, 'verify'>, anchor: Anchor | null) {
    this.#notary = notary
    this.#anchor = anchor
  }

  get facts(): number {
    return this.#facts
  }

  get problem(): Problem | null {
    return this.#problem
  }

  /** Whether it is what it should be. */
  take(checkpoint: Checkpoint, facts: readonly Standing[]): boolean {
    this.#problem = this.#wrongWith(checkpoint) ?? this.#wrongAmong(checkpoint, facts)
    if (this.#problem) return false
    this.#head = checkpoint
    return true
  }

  /** Resolves what only the whole history can tell; returns the facts that wait to be covered. */
  end(unsealed: readonly Standing[]): readonly Standing[] {
    for (const fact of unsealed) this.#note(fact, (this.#head?.number ?? 0) + 1)
    const waiting = unsealed.filter(({ seq }) => seq > (this.#head?.seq ?? 0))
    this.#problem = this.#wrongInTheEnd(unsealed)
    return [...this.#early.values(), ...waiting]
  }

  verdict(waiting: readonly Standing[]): Verdict {
    const since = waiting.map(({ evidence }) => evidence.at)
    return {
      checkpoints: this.#head?.number ?? 0,
      facts: this.#facts,
      unsealed: waiting.length,
      unsealedSince: since.length === 0 ? null : Math.min(...since),
      head: this.#head,
      problem: this.#problem,
    }
  }

  #wrongWith(checkpoint: Checkpoint): Problem | null {
    const number = (this.#head?.number ?? 0) + 1
    const bad = (kind: Problem['kind'], sentence: string) => ({ kind, checkpoint: number, seq: null, sentence })
    if (checkpoint.number > number) return bad('deleted', `checkpoint ${number} is not there`)
    if (checkpoint.number < number) return bad('inserted', `checkpoint ${checkpoint.number} was put in`)
    const { hash, signature, previous, late, missing, digests } = checkpoint
    if (hash !== checkpointHash(checkpoint)) return bad('edited', `checkpoint ${number} is not what was sealed`)
    if (JSON.stringify(this.#notary.verify(signature)) !== JSON.stringify(claimsOf(checkpoint)))
      return bad('replaced', `checkpoint ${number} was not signed by this installation`)
    if (previous !== (this.#head?.hash ?? '')) return bad('replaced', `checkpoint ${number} does not follow the one before it`)
    const covered = coveredBy(checkpoint, this.#head)
    // A signed checkpoint that does not add up was made by a broker that was wrong, or by somebody with the master key.
    if (digests.length !== covered.length * DIGEST_BYTES || !late.every((seq) => isMissing(this.#head, seq)) || !inOrder(missing))
      return bad('edited', `checkpoint ${number} does not add up`)
    if (this.#anchor?.number === number && this.#anchor.hash !== hash)
      return bad('replaced', `checkpoint ${number} is another one than the anchor names`)
    return null
  }

  #wrongAmong(checkpoint: Checkpoint, facts: readonly Standing[]): Problem | null {
    const { number, digests } = checkpoint
    const bad = (kind: Problem['kind'], seq: number, what: string) => ({
      ...{ kind, checkpoint: number, seq },
      sentence: `fact ${seq} ${what}`,
    })
    // In an export one number may stand twice: what was put in beside the right fact.
    const standing = Map.groupBy(facts, ({ seq }) => seq)
    const covered = coveredBy(checkpoint, this.#head)
    const sealed = new Map(covered.map((seq, at) => [seq, hexOf(digests.subarray(at * DIGEST_BYTES, (at + 1) * DIGEST_BYTES))]))
    const everyDigest = new Set(sealed.values())
    for (const seq of [...new Set([...covered, ...standing.keys()])].sort((a, b) => a - b)) {
      const wanted = sealed.get(seq)
      const [fact, twin] = standing.get(seq) ?? []
      if (!fact) return bad('deleted', seq, 'is not there any more')
      if (twin) return bad('inserted', seq, 'stands there twice: one of them was put in')
      if (wanted === undefined) {
        if (!isMissing(checkpoint, seq)) return bad('inserted', seq, 'was put in')
        this.#early.set(seq, fact)
        continue
      }
      const found = hexOf(digestOf(fact.evidence))
      if (found !== wanted)
        return everyDigest.has(found)
          ? bad('reordered', seq, 'stands in the place of another')
          : bad('edited', seq, 'is not what was sealed')
      const early = this.#early.get(seq)
      if (early && hexOf(digestOf(early.evidence)) !== wanted) return bad('inserted', seq, 'was put in where it was missing')
      this.#early.delete(seq)
      this.#facts += 1
      this.#note(fact, number)
    }
    for (const seq of this.#early.keys()) if (!isMissing(checkpoint, seq)) return bad('inserted', seq, 'was put in')
    return null
  }

  /** What only the whole history can judge. */
  #note({ seq, evidence: { action, subject, owner }, erased }: Standing, checkpoint: number): void {
    if (action === 'owner.erased') this.#erased.set(subject, Math.max(seq, this.#erased.get(subject) ?? 0))
    if (action === 'history.cut') this.#cuts.push({ seq, checkpoint })
    if (!erased || owner === null) return
    const nameless = this.#nameless.get(owner)
    if (nameless) nameless.push(seq)
    else this.#nameless.set(owner, [seq])
  }

  /** The first fact whose name was taken away and that no erasure explains. */
  #unexplained(): number | null {
    let first = Number.POSITIVE_INFINITY
    for (const [pseudonym, seqs] of this.#nameless) {
      const erased = this.#erased.get(pseudonym) ?? 0
      for (const seq of seqs) if (seq > erased && seq < first) first = seq
    }
    return first === Number.POSITIVE_INFINITY ? null : first
  }

  #wrongInTheEnd(unsealed: readonly Standing[]): Problem | null {
    const number = this.#head?.number ?? 0
    const inserted = unsealed.find(({ seq }) => seq <= (this.#head?.seq ?? 0))
    if (inserted) return { kind: 'inserted', checkpoint: number, seq: inserted.seq, sentence: `fact ${inserted.seq} was put in` }
    const seq = this.#unexplained()
    if (seq !== null) {
      const sentence = `fact ${seq} names nobody any more, and the history does not tell that anybody was erased since`
      return { kind: 'edited', checkpoint: number, seq, sentence }
    }
    // An anchor that is newer was kept by somebody who had looked into it.
    const cut = this.#cuts.find(({ checkpoint }) => !this.#anchor || this.#anchor.number < checkpoint)
    if (cut) {
      const sentence = `fact ${cut.seq} tells that checkpoints were taken away: what stands before it may have been altered and sealed anew`
      return { kind: 'replaced', ...cut, sentence }
    }
    if (this.#anchor && this.#anchor.number > number) {
      const sentence = `the history ends with checkpoint ${number}, and the anchor names checkpoint ${this.#anchor.number}`
      return { kind: 'truncated', checkpoint: number + 1, seq: null, sentence }
    }
    return null
  }
}

function isMissing(checkpoint: Checkpoint | null, seq: number): boolean {
  return checkpoint?.missing.some(({ from, to }) => from <= seq && seq <= to) ?? false
}

function inOrder(gaps: Checkpoint['missing']): boolean {
  return gaps.every(({ from, to }, at) => from <= to && (at === 0 || gaps[at - 1]!.to < from))
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
