import { Argument, type Command, InvalidArgumentError } from 'commander';
import { askAppliance } from '../../admin/client.js';
import type { ServiceReport } from '../../admin/source.js';
import { SERVICE_OPTIONS } from '../../config/schema.js';
import type { Context } from '../context.js';
import { addTargetOptions, readTarget } from '../target.js';

const ACTIONS = {
  drain: 'Gives a service no new sessions; those that live go on.',
  enable: 'Lets a service take sessions again once its monitor finds it up.',
  disable: 'Takes a service out at once: no new sessions, whatever its monitor says.',
} as const;

export function addServiceCommands(program: Command, context: Context): void {
  for (const [action, about] of Object.entries(ACTIONS)) {
    const command = program
      .command(action)
      .summary(about.replace(/[:;.].*$/, '').toLowerCase())
      .description(about);
    command.argument('<SERVICE>', 'name of the service');
    addTargetOptions(command).action((name: string, given: Record<string, unknown>) =>
      change(context, given, name, action),
    );
  }
  addSet(program, context);
}

function addSet(program: Command, context: Context): void {
  const command = program
    .command('set')
    .summary('change the weight of a service')
    .description('Changes a value of a running appliance until it is restarted.')
    .argument('<SERVICE>', 'name of the service')
    .addArgument(new Argument('<KEY>', 'what to change').choices(['weight']))
    .argument('<VALUE>', SERVICE_OPTIONS.weight.type.accepts, readWeight);
  addTargetOptions(command).action((name: string, key: string, weight: number, given: Record<string, unknown>) =>
    change(context, given, name, key, { weight }),
  );
}

async function change(
  context: Context,
  given: Record<string, unknown>,
  name: string,
  action: string,
  body?: { weight: number },
): Promise<void> {
  const path = `/service/${encodeURIComponent(name)}/${action}`;
  const answer = await askAppliance(readTarget(context, given), { method: 'POST', path, body });
  const service = answer as ServiceReport;
  context.out(`${service.name}: ${service.state}, weight ${service.weight}, sessions ${service.sessions}`);
}

function readWeight(text: string): number {
  const { type } = SERVICE_OPTIONS.weight;
  const result = type.schema.safeParse(text);
  if (result.success) return result.data;
  throw new InvalidArgumentError(`Expected ${type.accepts}.`);
}
