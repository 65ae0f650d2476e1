/** Both at once; if one fails the other is ended, and the first failure is the answer. */
export async function both<A, B>(
  signal: AbortSignal,
  first: (signal: AbortSignal) => Promise<A>,
  second: (signal: AbortSignal) => Promise<B>,
): Promise<[A, B]> {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  try {
    return await Promise.all([first(either), second(either)])
  } catch (error) {
    stop.abort(error)
    throw error
  }
}
