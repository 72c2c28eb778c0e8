/** What ends a line: \n, and nothing else. Node's own reader of lines also breaks one at U+2028 and U+2029, which JSON leaves as they are in its strings. */

/** The last one need not have an end. A \r before one stays: to JSON it is a space. */
export async function* linesIn(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let begun = ''
  for await (const chunk of chunks) {
    const lines = chunk.split('\n')
    lines[0] = begun + lines[0]
    begun = lines.pop()!
    yield* lines
  }
  if (begun !== '') yield begun
}
