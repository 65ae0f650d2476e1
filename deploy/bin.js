#!/usr/bin/env node
/**
 * Runs on any Node from version 12 on: finds one that is new enough and runs cli.ts with it.
 *
 *   the pinned Node (the package `node`), if it is installed
 *   else the Node that runs this file, if it is at least 24
 *   else one sentence, and exit code 1
 */
// biome-ignore-start lint/style/useNodejsImportProtocol: the oldest Nodes do not know the prefix
import { spawn } from 'child_process'
import { existsSync, realpathSync } from 'fs'
import { dirname, join } from 'path'
import { fileURLToPath, pathToFileURL } from 'url'

// biome-ignore-end lint/style/useNodejsImportProtocol: the oldest Nodes do not know the prefix

const OLDEST = 24
const here = dirname(realpathSync(fileURLToPath(import.meta.url)))
const cli = join(here, 'cli.ts')

// In a checkout, and where npm put this package beside its dependencies.
const pinned = [
  join(here, '..', 'node_modules', 'node', 'bin', 'node'),
  join(here, '..', '..', 'node', 'bin', 'node'),
].find((path) => existsSync(path))
const isNewEnough = Number(process.versions.node.split('.')[0]) >= OLDEST

if (pinned !== undefined && realpathSync(pinned) !== realpathSync(process.execPath)) runWith(pinned)
else if (isNewEnough) import('./compile-cache.js').then(() => import('./cli.ts')).catch(fail)
else
  fail(
    new Error(
      `Sublet needs Node ${OLDEST} or newer, this is ${process.version}, and the package \`node\` that brings one is not installed: run \`npm ci\` without --omit=optional, or install Node ${OLDEST}.`,
    ),
  )

function runWith(node) {
  const args = ['--import', pathToFileURL(join(here, 'compile-cache.js')).href, cli]
  const child = spawn(node, args.concat(process.argv.slice(2)), { stdio: 'inherit' })
  // This process only waits; whoever ends it means the one that works.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', fail)
  child.on('exit', (code, signal) => {
    if (signal === null) process.exitCode = code
    else {
      process.removeAllListeners(signal)
      process.kill(process.pid, signal)
    }
  })
}

function fail(error) {
  process.stderr.write(`error: ${error.message}\n`)
  process.exitCode = 1
}
