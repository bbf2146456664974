/** What `Buffer.subarray` makes, by its species; the platform does not name it. */
const View = (
  Buffer as unknown as { readonly [Symbol.species]?: new (memory: ArrayBufferLike, start: number, length: number) => Buffer }
)[Symbol.species]

/** As `subarray` of a Buffer that begins at byte 0 of `memory`, for a third of its price: who makes many views asks for the memory once. */
export const viewOf: (memory: ArrayBufferLike, start: number, length: number) => Buffer =
  View === undefined
    ? (memory, start, length) => Buffer.from(memory as ArrayBuffer, start, length)
    : (memory, start, length) => new View(memory, start, length)
