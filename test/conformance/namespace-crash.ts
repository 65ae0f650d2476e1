import type { namespaceMachinesConfig } from '../../adapters/namespace/config.ts'
import { machinesOf } from './namespace-site.ts'

/** Says a word, begins the setup it was given, and is killed by the law in the middle of it. */
const { config, unit } = JSON.parse(process.argv[2] ?? '{}')
const handler = machinesOf(config as ReturnType<typeof namespaceMachinesConfig.parse>)
process.stdout.write('go\n')
await handler.setup(unit, new AbortController().signal)
