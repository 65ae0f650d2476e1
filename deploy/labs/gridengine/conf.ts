/** The texts of the lab: what makes a cell of GridEngine 8.1.9 that is ready in a moment. */

/** Slots that have a name and an address from the start: g1 .. g60 at 10.89.0.101 .. 160. */
const SLOTS = 60

export const HEAD_ADDRESS = '10.89.0.1'
export const STATIC_ADDRESS = '10.89.0.11'
export const slotName = (slot: number): string => `g${slot}`
export const slotAddress = (slot: number): string => `10.89.0.${100 + slot}`

export function hostsText(): string {
  const lines = ['127.0.0.1 localhost', `${HEAD_ADDRESS} head`, `${STATIC_ADDRESS} static1`]
  for (let slot = 1; slot <= SLOTS; slot++) lines.push(`${slotAddress(slot)} ${slotName(slot)}`)
  return `${lines.join('\n')}\n`
}

const rows = (table: Readonly<Record<string, string>>): string =>
  Object.entries(table)
    .map(([name, value]) => `${name.padEnd(24)} ${value}\n`)
    .join('')

export const bootstrapText = (dir: string): string =>
  rows({
    admin_user: 'none',
    default_domain: 'none',
    ignore_fqdn: 'false',
    spooling_method: 'berkeleydb',
    spooling_lib: 'libspoolb',
    spooling_params: `${dir}/spooldb`,
    binary_path: '/usr/lib/gridengine',
    qmaster_spool_dir: `${dir}/qmaster`,
    security_mode: 'none',
    listener_threads: '2',
    worker_threads: '2',
    scheduler_threads: '1',
  })

/** The global configuration: Debian's, with short times, and everything that is written below the lab's folder. */
export const configurationText = (dir: string, extra: Readonly<Record<string, string>> = {}): string =>
  rows({
    conf_version: '0',
    execd_spool_dir: '/run/sge',
    mailer: '/bin/true',
    xterm: '/bin/true',
    load_sensor: 'none',
    prolog: 'none',
    epilog: `${dir}/epilog.sh`,
    shell_start_mode: 'posix_compliant',
    login_shells: 'bash,sh,ksh,csh,tcsh',
    min_uid: '0',
    min_gid: '0',
    user_lists: 'none',
    xuser_lists: 'none',
    projects: 'none',
    xprojects: 'none',
    enforce_project: 'false',
    enforce_user: 'auto',
    load_report_time: '00:00:02',
    max_unheard: '00:00:10',
    reschedule_unknown: '00:00:00',
    loglevel: 'log_info',
    administrator_mail: 'none',
    set_token_cmd: 'none',
    pag_cmd: 'none',
    token_extend_time: 'none',
    shepherd_cmd: 'none',
    qmaster_params: 'none',
    execd_params: 'none',
    reporting_params:
      'accounting=true reporting=false flush_time=00:00:01 accounting_flush_time=00:00:00 joblog=false sharelog=00:00:00',
    finished_jobs: '100',
    gid_range: '65400-65500',
    qlogin_command: 'builtin',
    qlogin_daemon: 'builtin',
    rlogin_command: 'builtin',
    rlogin_daemon: 'builtin',
    rsh_command: 'builtin',
    rsh_daemon: 'builtin',
    max_aj_instances: '2000',
    max_aj_tasks: '75000',
    max_u_jobs: '0',
    max_jobs: '0',
    auto_user_oticket: '0',
    auto_user_fshare: '0',
    auto_user_default_project: 'none',
    auto_user_delete_time: '86400',
    delegated_file_staging: 'false',
    reprioritize: '0',
    jsv_url: 'none',
    jsv_allowed_mod: 'ac,h,i,e,o,j,M,N,p,w',
    ...extra,
  })

/** Runs once a second, and at once after a submission and after the end of a job. */
export const schedulerText = (extra: Readonly<Record<string, string>> = {}): string =>
  rows({
    algorithm: 'default',
    schedule_interval: '0:0:1',
    maxujobs: '0',
    queue_sort_method: 'load',
    job_load_adjustments: 'NONE',
    load_adjustment_decay_time: '0:0:0',
    load_formula: 'np_load_avg',
    schedd_job_info: 'true',
    flush_submit_sec: '1',
    flush_finish_sec: '1',
    params: 'none',
    reprioritize_interval: '0:0:0',
    halftime: '168',
    usage_weight_list: 'cpu=1.000000,mem=0.000000,io=0.000000',
    compensation_factor: '5.000000',
    weight_user: '0.250000',
    weight_project: '0.250000',
    weight_department: '0.250000',
    weight_job: '0.250000',
    weight_tickets_functional: '0',
    weight_tickets_share: '0',
    share_override_tickets: 'TRUE',
    share_functional_shares: 'TRUE',
    max_functional_jobs_to_schedule: '200',
    report_pjob_tickets: 'TRUE',
    max_pending_tasks_per_job: '50',
    halflife_decay_list: 'none',
    policy_hierarchy: 'OFS',
    weight_ticket: '0.010000',
    weight_waiting_time: '0.000000',
    weight_deadline: '3600000.000000',
    weight_urgency: '0.100000',
    weight_priority: '1.000000',
    max_reservation: '8',
    default_duration: 'INFINITY',
    ...extra,
  })

export const queueText = (name: string, hosts: string, values: Readonly<Record<string, string>>): string =>
  rows({
    qname: name,
    hostlist: hosts,
    seq_no: '0',
    load_thresholds: 'NONE',
    suspend_thresholds: 'NONE',
    nsuspend: '1',
    suspend_interval: '00:05:00',
    priority: '0',
    min_cpu_interval: '00:05:00',
    processors: 'UNDEFINED',
    qtype: 'BATCH INTERACTIVE',
    ckpt_list: 'NONE',
    pe_list: 'NONE',
    rerun: 'FALSE',
    slots: '1',
    tmpdir: '/tmp',
    shell: '/bin/sh',
    prolog: 'NONE',
    epilog: 'NONE',
    shell_start_mode: 'posix_compliant',
    starter_method: 'NONE',
    suspend_method: 'NONE',
    resume_method: 'NONE',
    terminate_method: 'NONE',
    notify: '00:00:60',
    owner_list: 'NONE',
    user_lists: 'NONE',
    xuser_lists: 'NONE',
    subordinate_list: 'NONE',
    complex_values: 'NONE',
    projects: 'NONE',
    xprojects: 'NONE',
    calendar: 'NONE',
    initial_state: 'default',
    ...Object.fromEntries(
      ['rt', 'cpu', 'fsize', 'data', 'stack', 'core', 'rss', 'vmem'].flatMap((limit) => [
        [`s_${limit}`, 'INFINITY'],
        [`h_${limit}`, 'INFINITY'],
      ]),
    ),
    ...values,
  })

export const hostGroupText = (name: string, hosts: string): string =>
  rows({ group_name: name, hostlist: hosts })

export const hostText = (name: string, complexValues: string): string =>
  rows({
    hostname: name,
    load_scaling: 'NONE',
    complex_values: complexValues,
    user_lists: 'NONE',
    xuser_lists: 'NONE',
    projects: 'NONE',
    xprojects: 'NONE',
    usage_scaling: 'NONE',
    report_variables: 'NONE',
  })

export const environmentText = (name: string, rule: string, slots = '999'): string =>
  rows({
    pe_name: name,
    slots,
    user_lists: 'NONE',
    xuser_lists: 'NONE',
    start_proc_args: 'NONE',
    stop_proc_args: 'NONE',
    allocation_rule: rule,
    control_slaves: 'TRUE',
    job_is_first_task: 'FALSE',
    urgency_slots: 'min',
    accounting_summary: 'FALSE',
    qsort_args: 'NONE',
  })

/** The complexes that Sublet keeps its marks in, and some that jobs ask for. */
export const COMPLEXES = [
  'sublet           sublet       RESTRING  ==  YES  NO   NONE  0',
  'sublet_drain     sublet_drain RESTRING  ==  YES  NO   NONE  0',
  'gpu              gpu          INT       <=  YES  YES  0     0',
  'licence          lic          INT       <=  YES  JOB  0     0',
  'bigdisk          bigdisk      BOOL      ==  YES  NO   0     0',
] as const

/** Its length is read when it runs, so that it can be changed under a living cluster. */
export const epilogText = (dir: string): string => `#!/bin/sh
sleep "$(cat ${dir}/epilog-seconds)"
`
