/** Whatever can be ended in any state it is in. */
export interface Endable {
  down(keep: boolean): Promise<void>
}

/** Ctrl-C, TERM and a closed terminal end the lab with all it started, then the process. Returns whether that has begun. */
export function endOnInterrupt(lab: Endable, keep: boolean, say: (line: string) => void): () => boolean {
  let interrupted = false
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (interrupted) return
      interrupted = true
      say(`${signal}: ending the lab`)
      void lab.down(keep).then(() => process.exit(130))
    })
  return () => interrupted
}
