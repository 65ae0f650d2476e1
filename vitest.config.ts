import { defineConfig } from 'vitest/config'

/** They change what all modules of a process share: another module's code, its folder, its clock. */
const ALONE = [
  'test/unit/broker-refusals-cost.test.ts',
  'test/unit/clock.test.ts',
  'test/unit/control-relay.test.ts',
  'test/unit/durable-file.test.ts',
  'test/unit/peer-commands.test.ts',
]

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Most tests wait for real processes: three share two cores well, more make their timings worse.
    maxWorkers: 3,
    projects: [
      {
        extends: true,
        test: {
          name: 'apart',
          include: ['test/!(unit|scenarios|fuzz)/**/*.test.ts', ...ALONE],
        },
      },
      {
        extends: true,
        test: {
          name: 'together',
          include: ['controllers/**/*.test.ts', 'test/{unit,scenarios,fuzz}/**/*.test.ts'],
          exclude: ALONE,
          // To load all modules anew for each file costs as much as its tests do.
          isolate: false,
        },
      },
    ],
  },
})
