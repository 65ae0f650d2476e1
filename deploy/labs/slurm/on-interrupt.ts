import type { SlurmSite } from './slurm-site.ts'

/** Ctrl-C, TERM and a closed terminal end the lab with all it started, then the process. Returns whether that has begun. */
export function endOnInterrupt(site: SlurmSite, keep: boolean, say: (line: string) => void): () => boolean {
  let interrupted = false
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (interrupted) return
      interrupted = true
      say(`${signal}: ending the lab`)
      void site.down(keep).then(() => process.exit(130))
    })
  return () => interrupted
}
