/**
 * The arrows of the house. Everything points from deploy towards runtime:
 *
 *   runtime ← leases ← ledger ← the three roles (which never import each other)
 *   roles, controllers → contracts (adapters/*.ts, controllers/controller.ts)
 *   contracts → runtime, leases        adapters/x → its contract, exec/
 *   deploy → everything; nothing → deploy or test
 */
const contracts = '^(adapters/[a-z-]+\\.ts|controllers/controller\\.ts)$'
const allow = (name, from, to) => ({
  name,
  severity: 'error',
  comment: `${from} may import only: ${to.join(', ')}`,
  from: { path: from },
  to: { path: '^(actors|controllers|adapters|portal|deploy|test|bench)/', pathNot: to },
})

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    allow('runtime-imports-nothing-of-ours', '^actors/runtime/', ['^actors/runtime/']),
    allow('leases-import-runtime', '^actors/leases/', ['^actors/(runtime|leases)/']),
    allow('ledger-imports-leases', '^actors/ledger/', ['^actors/(runtime|leases|ledger)/']),
    ...['service-manager', 'broker', 'authority'].map((role) =>
      allow(`${role}-knows-no-other-role`, `^actors/${role}/`, [`^actors/(runtime|leases|ledger|${role})/`, contracts]),
    ),
    allow('contracts-import-runtime-and-leases', contracts, ['^actors/(runtime|leases)/', contracts]),
    allow('controllers-touch-no-adapter', '^controllers/.+/', ['^controllers/', '^actors/(runtime|leases)/', contracts]),
    ...['embedded', 'exec', 'namespace', 'sqlite', 'http'].map((adapter) =>
      allow(`${adapter}-knows-its-contract`, `^adapters/${adapter}/`, [
        `^adapters/(${adapter}|exec)/`,
        '^actors/(runtime|leases)/',
        contracts,
      ]),
    ),
    // What batch systems have in common.
    ...['batch', 'slurm', 'gridengine', 'pbs'].map((adapter) =>
      allow(`${adapter}-knows-its-contract`, `^adapters/${adapter}/`, [
        `^adapters/(${adapter}|batch|exec)/`,
        '^actors/(runtime|leases)/',
        contracts,
      ]),
    ),
    // Torque and OpenPBS are two dialects of one batch system.
    ...['torque', 'openpbs'].map((adapter) =>
      allow(`${adapter}-knows-its-contract`, `^adapters/${adapter}/`, [
        `^adapters/(${adapter}|pbs|batch|exec)/`,
        '^actors/(runtime|leases)/',
        contracts,
      ]),
    ),
    // Within deploy: commands ──▶ control ──▶ reports ──▶ peers, upkeep ──▶ settings.
    ...[
      ['settings', '(commands|control|reports|upkeep|replay|recording|metrics|rights)'],
      ['upkeep', '(commands|control|replay|recording|metrics|rights)'],
      ['peers', '(commands|control|replay|recording|metrics|rights)'],
      ['reports', '(commands|control|replay|recording|metrics|rights)'],
      ['control', '(commands|replay|recording|rights)'],
    ].map(([room, above]) => ({
      name: `deploy-${room}-looks-down`,
      severity: 'error',
      from: { path: `^deploy/${room}/` },
      to: { path: `^deploy/${above}/` },
    })),
    {
      name: 'nothing-imports-deploy-or-test',
      severity: 'error',
      from: { pathNot: '^(deploy|test|bench)/' },
      to: { path: '^(deploy|portal|test|bench)/' },
    },
    {
      name: 'no-undeclared-package',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'unknown', 'undetermined'] },
    },
    {
      name: 'no-test-package-in-the-product',
      severity: 'error',
      from: { path: '^(actors|controllers|adapters|deploy)/' },
      to: { dependencyTypes: ['npm-dev'], pathNot: 'node_modules/@types/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default'] },
  },
}
