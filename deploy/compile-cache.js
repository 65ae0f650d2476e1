/**
 * Has Node keep what it makes of the TypeScript, which is half of what a command takes to start.
 *
 * Kept beside the package, and only for whoever owns it: in a folder that others can write, somebody could put
 * code of his own, and what root keeps in a user's checkout, `npm ci` of that user cannot remove.
 */
import { existsSync, statSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

const modules = join(import.meta.dirname, '..', 'node_modules')
if (existsSync(modules) && statSync(modules).uid === process.getuid?.())
  enableCompileCache(join(modules, '.cache', 'sublet'))
