// Adds jobs for a later time to graphile-worker, or calls jobs off, one a call, as many callers at once as the plan says.
//
//     plan as JSON on standard input --> addJob or completeJobs of its own library --> outcome as JSON on standard output
//
// Called as a library, within one process: no HTTP, no key, no checks. completeJobs deletes a job that nobody works on:
// it is how graphile-worker calls off by id.

import { readFileSync } from "node:fs";
import { makeWorkerUtils } from "graphile-worker";
import pg from "pg";

const plan = JSON.parse(readFileSync(0));
const pgPool = new pg.Pool({ ...plan.server, max: plan.connections });
const utils = await makeWorkerUtils({ pgPool });
if (plan.prepare) {
    await utils.migrate();
    await end({});
}

const runAt = new Date(Date.now() + 3 * 3600 * 1000);
let serial = plan.first;

async function add() {
    const number = serial++;
    const text = `Reminder ${String(number).padStart(10, "0")}: your appointment is tomorrow at 10:00. Reply C to call it off.`;
    const to = `+1312555${String(number % plan.recipients).padStart(4, "0")}`;
    await utils.addJob("send", { sender: plan.sender, to, text }, { runAt });
    return true;
}

async function callOff() {
    const id = plan.ids.pop();
    if (id === undefined) return false;
    const gone = await utils.completeJobs([id]);
    if (gone.length !== 1) throw new Error(`job ${id} was not called off`);
    return true;
}

const took = [];

async function caller(act, until) {
    for (;;) {
        const began = process.hrtime.bigint();
        if (began >= until || !(await act())) return;
        took.push(Number(process.hrtime.bigint() - began) / 1000);
    }
}

async function end(outcome) {
    process.stdout.write(JSON.stringify(outcome));
    await utils.release();
    await pgPool.end();
    process.exit(0);
}

await Promise.all(Array.from({ length: plan.connections }, () => pgPool.query("SELECT 1")));
const began = process.hrtime.bigint();
const used = process.cpuUsage();
const until = began + BigInt(Math.round(plan.seconds * 1e9));
await Promise.all(Array.from({ length: plan.callers }, () => caller(plan.ids ? callOff : add, until)));
const micros = Number(process.hrtime.bigint() - began) / 1000;
const { user, system } = process.cpuUsage(used);
took.sort((one, other) => one - other);
await end({
    answered: took.length,
    seconds: micros / 1e6,
    busy: (user + system) / micros,
    p50: took[Math.floor(took.length / 2)],
    p99: took[Math.floor((took.length * 99) / 100)],
    longest: took.at(-1),
});
