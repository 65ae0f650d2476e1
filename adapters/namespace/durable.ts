import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Puts a file in its place whole and for good: who reads it sees the old content or the new, also after
 * a power cut. `draft` lies in a folder that only Sublet can write, on the same file system.
 */
export async function writeDurably(path: string, content: string, draft = `${path}.new`): Promise<void> {
  const file = await open(draft, 'w', 0o644)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(draft, path)
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
