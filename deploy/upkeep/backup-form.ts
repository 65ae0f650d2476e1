import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { SubletError } from '../../actors/runtime/errors.ts'

const line = z.object({ seq: z.int().min(0), hash: z.string() })

/**
 * A backup is a folder: a copy of each actor's database, and `manifest.json`, which is written last. Each copy is a
 * database by itself, as of an instant of its own. Private keys are not in it.
 */
export const manifestSchema = z.object({
  format: z.literal(1),
  /** Of the work folder it was made from. */
  folder: z.string(),
  at: z.int(),
  actors: z
    .array(
      z.object({
        name: z.string().regex(/^[^/]+$/),
        layout: z.int(),
        rows: z.int(),
        /** The last line that was only in archives, and the last line. */
        base: line,
        head: line,
        bytes: z.int(),
        sha256: z.string(),
      }),
    )
    .min(1),
})
export type Manifest = Readonly<z.infer<typeof manifestSchema>>

export const MANIFEST = 'manifest.json'

export function readManifest(folder: string): Manifest {
  const path = join(folder, MANIFEST)
  if (!existsSync(path))
    throw new SubletError('backup-damaged', `${folder} is no backup: it has no ${MANIFEST}`, {
      cure: 'Name the folder that `sublet backup` made; without its manifest it was not finished.',
    })
  try {
    return manifestSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (cause) {
    throw new SubletError('backup-damaged', `the manifest ${path} cannot be read`, { cause })
  }
}

/** SHA-256 of a file, base64url. */
export async function hashOfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('base64url')
}
