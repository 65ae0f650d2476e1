import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** They change what all modules of a process share: another module's code, its folder, its clock. */
const ALONE = [
  'test/unit/broker-refusals-cost.test.ts',
  'test/unit/clock.test.ts',
  'test/unit/control-relay.test.ts',
  'test/unit/durable-file.test.ts',
  'test/unit/peer-commands.test.ts',
]

/** They wait for processes for a minute and more: begun last, all others would be over and they still waiting. */
const LONG = [
  'test/e2e/sublet.test.ts',
  'test/e2e/surroundings.test.ts',
  'test/conformance/torque-emulated.test.ts',
  'test/e2e/federation.test.ts',
]

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification): number => {
      const rank = LONG.findIndex((file) => moduleId.endsWith(`/${file}`))
      return rank < 0 ? LONG.length : rank
    }
    const others = await super.sort(files)
    return others.toSorted((a, b) => rankOf(a) - rankOf(b))
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongFirst },
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
