/** Waits until all have ended, also where one fails: nothing of it goes on behind the caller's back. Then throws the first failure, if any. */
export async function allOf(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) if (result.status === 'rejected') throw result.reason
}
