-- breaking: no
-- The whole schema of the first release. Conventions:
--   * a tenant table starts its primary key, unique keys and foreign keys with app_id and has row-level security by app_id;
--   * a table by scope has scope_id in the place of app_id: an app, else an organization, else the installation;
--   * a control table is keyed by organization_id and has row-level security by organization_id;
--   * a routing table holds ids and times only, no tenant data, and has no row-level security;
--   * what can change a decision bumps a row of fences, by trigger, so that no writer can forget it.
-- The server's role owns nothing. It sees an app's rows only after set_config('vault.app', <app id>, true), and rows by scope
-- only after set_config('vault.scope', <scope id>, true).

do $$
begin
  if not exists (select from pg_roles where rolname = 'alter_vault_server') then
    create role alter_vault_server nologin;
  end if;
end
$$;

create function vault_app() returns uuid language sql stable parallel safe as
$$ select nullif(current_setting('vault.app', true), '')::uuid $$;

create function vault_scope() returns uuid language sql stable parallel safe as
$$ select nullif(current_setting('vault.scope', true), '')::uuid $$;

create function vault_organization() returns uuid language sql stable parallel safe as
$$ select nullif(current_setting('vault.organization', true), '')::uuid $$;

-- ───────────── installation (routing) ─────────────

create table installation (
  singleton boolean primary key default true check (singleton),
  installation_id uuid not null,
  created_at timestamptz not null default now()
);

-- Keys of the installation itself (approval links, API key digests, audit signing), each wrapped by a root key under its name.
create table installation_keys (
  name text primary key,
  wrapped bytea not null
);

-- The scopes that have data keys, for a rotation of root keys; the keys themselves are seen in their own scope only.
create table data_key_scopes (
  app_id uuid primary key
);

-- Which root keys the data belongs to. A server with others refuses to start.
create table root_key_fingerprints (
  fingerprint text primary key
);

-- Work that a background job must pick up at a time, across apps. No content, only whom and when. A row goes when its work is done.
create table due_work (
  kind text not null,
  app_id uuid not null,
  subject_id uuid not null,
  due_at timestamptz not null,
  primary key (kind, app_id, subject_id)
);
create index due_work_by_time on due_work (kind, due_at);

-- From the digest of a presented key to its app; read on a cache miss only.
create table key_routes (
  digest bytea primary key,
  app_id uuid not null,
  key_id uuid not null
);

create table token_routes (
  digest bytea primary key,
  organization_id uuid not null,
  pat_id uuid not null
);

create table approval_routes (
  approval_id uuid primary key,
  app_id uuid not null
);

create table audit_signing_keys (
  key_id text primary key,
  public_jwk jsonb not null,
  valid_from timestamptz not null,
  valid_until timestamptz
);

-- ───────────── organizations (control) ─────────────

create table organizations (
  organization_id uuid primary key,
  name text not null,
  slug text not null unique,
  settings jsonb not null default '{}',
  version integer not null default 1,
  created_at timestamptz not null default now()
);

create table members (
  organization_id uuid not null references organizations,
  member_id uuid not null,
  email text not null,
  display_name text,
  role text not null check (role in ('owner', 'admin', 'developer', 'auditor', 'approver')),
  app_ids uuid[],
  created_at timestamptz not null default now(),
  removed_at timestamptz,
  primary key (organization_id, member_id)
);
create unique index members_email on members (organization_id, lower(email)) where removed_at is null;

create table personal_access_tokens (
  organization_id uuid not null,
  pat_id uuid not null,
  member_id uuid not null,
  name text not null,
  token_prefix text not null,
  digest bytea not null,
  scopes text[] not null,
  app_ids uuid[],
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz,
  primary key (organization_id, pat_id),
  foreign key (organization_id, member_id) references members
);

create table organization_rules (
  organization_id uuid not null references organizations,
  rule_id uuid not null,
  version integer not null default 1,
  type text not null,
  name text not null,
  description text,
  body jsonb not null,
  body_version integer not null default 1,
  enabled boolean not null default true,
  mode text not null default 'enforce' check (mode in ('enforce', 'shadow')),
  created_by jsonb not null,
  created_at timestamptz not null default now(),
  updated_by jsonb not null,
  updated_at timestamptz not null default now(),
  primary key (organization_id, rule_id)
);

-- ───────────── apps ─────────────

create table apps (
  app_id uuid primary key,
  organization_id uuid not null references organizations,
  name text not null,
  slug text not null,
  description text,
  environment text not null default 'production',
  website_url text,
  status text not null default 'live' check (status in ('live', 'archived', 'deleted')),
  branding jsonb not null default '{}',
  settings jsonb not null default '{}',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  archived_at timestamptz
);
create unique index apps_live_name on apps (organization_id, lower(name)) where status <> 'deleted';

-- The versions that decisions rest on. Rows are never deleted, so a version never comes back.
-- Subjects: epoch · key:<id> · agent:<id> · grant:<id> · principal:<type>:<id> · secret:<id> · credential:<id>
create table fences (
  app_id uuid not null,
  subject text not null,
  version bigint not null,
  primary key (app_id, subject)
);

create function bump_fence(p_app uuid, p_subject text) returns void language sql as
$$
  insert into fences as f (app_id, subject, version) values (p_app, p_subject, 1)
  on conflict (app_id, subject) do update set version = f.version + 1
$$;

-- Another mark for an app after each change of its fences. It is random and not counted up, so that a database that goes back in
-- time never comes to a mark again that a process still remembers.
create table fence_marks (
  app_id uuid primary key,
  mark uuid not null
);

-- Takes the app's lock exclusively at COMMIT, so that a change is ordered against every append that holds it shared
-- and a long change stops calls for its fsync only. A transaction that changes several apps bumps them in app_id order.
-- The mark moves once for each app and transaction, however many fences do.
create function lock_fence_at_commit() returns trigger language plpgsql as
$$
declare
  v_app text := new.app_id::text;
  v_before text := current_setting('vault.app', true);
begin
  if current_setting('vault.marked', true) is not distinct from v_app then return null; end if;
  perform pg_advisory_xact_lock(hashtextextended(v_app, 0)), set_config('vault.app', v_app, true), set_config('vault.marked', v_app, true);
  insert into fence_marks as m (app_id, mark) values (new.app_id, gen_random_uuid())
  on conflict (app_id) do update set mark = excluded.mark;
  perform set_config('vault.app', coalesce(v_before, ''), true);
  return null;
end
$$;

create constraint trigger fences_lock_at_commit after insert or update on fences
  deferrable initially deferred for each row execute function lock_fence_at_commit();

create table data_keys (
  app_id uuid not null,
  data_key_id uuid not null,
  wrapped bytea not null,
  created_at timestamptz not null default now(),
  primary key (app_id, data_key_id)
);

create table agents (
  app_id uuid not null references apps,
  agent_id uuid not null,
  name text not null,
  display_name text,
  type text not null check (type in ('agent', 'service')),
  status text not null default 'active' check (status in ('active', 'inactive', 'revoked')),
  scopes jsonb not null default '{}',
  scopes_pending jsonb,
  scopes_applies_at timestamptz,
  policy jsonb not null default '{}',
  metadata jsonb not null default '{}',
  rate_limit_per_minute integer,
  version integer not null default 1,
  created_by jsonb not null,
  created_at timestamptz not null default now(),
  primary key (app_id, agent_id)
);
create unique index agents_live_name on agents (app_id, name) where status <> 'revoked';

create table keys (
  app_id uuid not null references apps,
  key_id uuid not null,
  agent_id uuid,
  name text not null,
  key_prefix text not null,
  key_type text not null check (key_type in ('rk', 'ak', 'dk')),
  digest bytea not null,
  scopes text[] not null,
  scope_version integer not null default 1,
  cidr_allowlist text[],
  rate_limit_rpm integer,
  expires_at timestamptz,
  deprecated_at timestamptz,
  revoked_at timestamptz,
  rotated_to uuid,
  grace_until timestamptz,
  parent_key_id uuid,
  metadata jsonb not null default '{}',
  created_by jsonb not null,
  created_at timestamptz not null default now(),
  primary key (app_id, key_id),
  foreign key (app_id, agent_id) references agents,
  foreign key (app_id, parent_key_id) references keys
);
create index keys_by_parent on keys (app_id, parent_key_id) where parent_key_id is not null;
create index keys_by_agent on keys (app_id, agent_id) where agent_id is not null;

-- Last use, apart from what decisions rest on, so that noting it bumps no fence. subject: key:<id> · agent:<id> · grant:<id>
create table last_uses (
  app_id uuid not null,
  subject text not null,
  used_at timestamptz not null,
  primary key (app_id, subject)
);

create table actors (
  app_id uuid not null references apps,
  actor_id uuid not null,
  principal_kind text not null check (principal_kind in ('actor', 'agent', 'key')),
  caller text not null,
  caller_type text not null,
  key_id uuid not null,
  agent_id uuid,
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  primary key (app_id, actor_id),
  unique (app_id, caller_type, caller, key_id)
);

-- ───────────── managed secrets, credentials, grants ─────────────

create table managed_secrets (
  app_id uuid not null references apps,
  managed_secret_id uuid not null,
  slug text not null,
  name text not null,
  template_id text,
  credential_type text not null check (credential_type in ('bearer', 'api_key', 'basic', 'aws_sigv4', 'custom')),
  injection jsonb not null default '{}',
  allowed_hosts text[] not null,
  status text not null default 'active' check (status in ('active', 'deleted')),
  delegation_policy jsonb not null default '{}',
  proxy_only boolean not null default false,
  version integer not null default 1,
  created_by jsonb not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (app_id, managed_secret_id)
);
create unique index managed_secrets_slug on managed_secrets (app_id, slug) where status = 'active';

create table credentials (
  app_id uuid not null,
  credential_id uuid not null,
  -- What the credential belongs to. Each kind of source is a table of its own.
  source_kind text not null check (source_kind in ('managed_secret', 'connection')),
  source_id uuid not null,
  label text not null,
  kind text not null default 'developer' check (kind in ('developer', 'end_user')),
  sealed bytea,
  hint text,
  -- The names of a custom credential's fields. An injection may read only fields that exist, and no value is opened to learn that.
  field_names text[] not null default '{}',
  status text not null default 'active' check (status in ('active', 'revoked')),
  created_at timestamptz not null default now(),
  rotated_at timestamptz,
  primary key (app_id, credential_id),
  unique (app_id, credential_id, source_id)
);
create unique index credentials_label on credentials (app_id, source_id, label) where status = 'active';

create table grants (
  app_id uuid not null references apps,
  grant_id uuid not null,
  grant_kind text not null default 'managed_secret' check (grant_kind in ('oauth', 'managed_secret')),
  principal_type text not null check (principal_type in ('user', 'group', 'system', 'agent')),
  principal_id uuid,
  -- Provider id, or the slug of the managed secret: what rules and calls name. It never changes.
  provider_id text not null,
  -- The credential's source: the managed secret, or the connection.
  source_id uuid not null,
  credential_id uuid not null,
  label text,
  restrictions jsonb,
  max_ttl_seconds integer,
  default_ttl_seconds integer,
  expires_at timestamptz,
  status text not null default 'active' check (status in ('active', 'revoked', 'deleted')),
  revoked_at timestamptz,
  revoked_reason text,
  version integer not null default 1,
  created_by jsonb not null,
  created_at timestamptz not null default now(),
  primary key (app_id, grant_id),
  foreign key (app_id, credential_id, source_id) references credentials (app_id, credential_id, source_id),
  check ((principal_type = 'agent') = (principal_id is not null) or principal_type in ('user', 'group'))
);
create unique index grants_label on grants (app_id, credential_id, principal_type, coalesce(principal_id, app_id), coalesce(label, ''))
  where status = 'active';
create index grants_by_principal on grants (app_id, principal_type, principal_id, created_at);
create index grants_by_source on grants (app_id, source_id);

-- ───────────── rules ─────────────

create table rules (
  app_id uuid not null references apps,
  rule_id uuid not null,
  version integer not null default 1,
  target_type text not null check (target_type in ('app', 'provider', 'agent', 'grant', 'key')),
  target_id text not null,
  type text not null,
  name text not null,
  description text,
  body jsonb not null,
  body_version integer not null default 1,
  enabled boolean not null default true,
  mode text not null default 'enforce' check (mode in ('enforce', 'shadow')),
  expires_at timestamptz,
  managed_by text not null default 'operator' check (managed_by in ('operator', 'agent_policy', 'grant_policy', 'user')),
  created_by jsonb not null,
  created_at timestamptz not null default now(),
  updated_by jsonb not null,
  updated_at timestamptz not null default now(),
  primary key (app_id, rule_id)
);
create index rules_by_target on rules (app_id, target_type, target_id);

-- What a rule was before its changes and its deletion; the newest 100 of each rule.
create table rule_versions (
  scope_id uuid not null,
  rule_id uuid not null,
  version integer not null,
  snapshot jsonb not null,
  replaced_by jsonb not null,
  replaced_at timestamptz not null default now(),
  primary key (scope_id, rule_id, version)
);

-- ───────────── approvals ─────────────

-- One held request. The frozen request is sealed; the columns beside it are what lists, races and recovery need.
-- Deleted with gates, decisions, attempts and routes retain_runtime_days after its end.
create table approval_groups (
  app_id uuid not null references apps,
  approval_group_id uuid not null,
  executor_approval_id uuid not null,
  status text not null check (status in ('pending', 'approved', 'executing', 'denied', 'expired', 'executed', 'failed')),
  version integer not null default 1,
  action_hash bytea not null,
  -- Null: erased, retain_body_days after the end.
  sealed_request bytea,
  action_line text not null,
  grant_id uuid not null,
  key_id uuid not null,
  agent_id uuid,
  app_user_id uuid,
  provider_id text not null,
  reason text,
  trace_id text not null,
  intent_event_id uuid,
  policy_epoch bigint not null,
  requested_at timestamptz not null,
  expires_at timestamptz not null,
  decided_at timestamptz,
  decision_reason text,
  executed_at timestamptz,
  execution_error text,
  sealed_result bytea,
  result_expires_at timestamptz,
  primary key (app_id, approval_group_id)
);
create index approval_groups_by_time on approval_groups (app_id, requested_at desc);
create index approval_groups_waiting on approval_groups (app_id, status) where status in ('pending', 'approved', 'executing');
create index approval_groups_by_grant on approval_groups (app_id, grant_id) where status in ('pending', 'approved', 'executing');
create index approval_groups_by_action on approval_groups (app_id, md5(action_line), requested_at desc);

create table approval_gates (
  app_id uuid not null,
  approval_id uuid not null,
  approval_group_id uuid not null,
  position integer not null,
  status text not null check (status in ('pending', 'approved', 'denied', 'expired')),
  version integer not null default 1,
  configuration jsonb not null,
  rules jsonb not null,
  quorum integer not null,
  link_nonce bytea not null,
  expires_at timestamptz not null,
  decided_at timestamptz,
  decision_reason text,
  primary key (app_id, approval_id),
  unique (app_id, approval_group_id, position),
  foreign key (app_id, approval_group_id) references approval_groups
);

create table approval_decisions (
  app_id uuid not null,
  approval_id uuid not null,
  approver_key text not null,
  approver_kind text not null check (approver_kind in ('link', 'member', 'app_user')),
  approver jsonb not null,
  decision text not null check (decision in ('approve', 'deny')),
  reason text,
  action_hash bytea not null,
  decided_at timestamptz not null default clock_timestamp(),
  primary key (app_id, approval_id, approver_key),
  foreign key (app_id, approval_id) references approval_gates
);

-- One try to execute an approved request. lease_number fences: the owner of an older lease can neither send nor record.
create table approval_attempts (
  app_id uuid not null,
  attempt_id uuid not null,
  approval_group_id uuid not null,
  owner uuid not null,
  lease_number integer not null default 1,
  claimed_at timestamptz not null default clock_timestamp(),
  lease_until timestamptz not null,
  sent_at timestamptz,
  ended_at timestamptz,
  outcome text check (outcome in ('not_sent', 'executed', 'failed', 'unknown')),
  primary key (app_id, attempt_id),
  foreign key (app_id, approval_group_id) references approval_groups
);
create unique index approval_attempts_open on approval_attempts (app_id, approval_group_id) where ended_at is null;

-- ───────────── audit log ─────────────

-- Whose log there is, and how far it has come. The row is what a sequencer locks.
create table audit_scopes (
  scope_id uuid primary key,
  app_id uuid,
  organization_id uuid,
  -- The last batch that has its place, the last row, and the head there; before the first batch the genesis.
  sequence bigint not null default 0,
  last_row bigint not null default 0,
  head bytea not null,
  -- The last row that a checkpoint covers, and since when later ones wait for the next; null: none waits.
  signed_row bigint not null default 0,
  unsigned_since timestamptz,
  -- Up to this batch no runtime detail is left that was old enough to be pruned.
  pruned_sequence bigint not null default 0
);
create index audit_scopes_unsigned on audit_scopes (unsigned_since) where unsigned_since is not null;

-- The truth: one row for each commit. A batch is written without a place in the log and gets it a moment later.
create table audit_batches (
  scope_id uuid not null,
  batch_id uuid not null,
  count integer not null,
  digest bytea not null,
  rows bytea not null,
  -- Captured request and response bodies, sealed together, outside the digest, so that they can be erased.
  bodies bytea,
  committed_at timestamptz not null default clock_timestamp(),
  sequence bigint,
  first_row bigint,
  head bytea,
  primary key (scope_id, batch_id)
);
-- lz4 shrinks rows to a half for little; without it they are stored as they are, since pglz costs a quarter of the CPU of an append.
-- Sealed bodies shrink by nothing.
alter table audit_batches alter column rows set storage external, alter column bodies set storage external;
do $$
begin
  if 'lz4' = any ((select enumvals from pg_settings where name = 'default_toast_compression')::text[]) then
    alter table audit_batches alter column rows set storage extended, alter column rows set compression lz4;
  end if;
end
$$;
create index audit_batches_unsequenced on audit_batches (scope_id, batch_id) where sequence is null;
create unique index audit_batches_by_sequence on audit_batches (scope_id, sequence) where sequence is not null;
create index audit_batches_with_bodies on audit_batches (scope_id, committed_at) where bodies is not null and sequence is not null;

-- Intents whose one outcome came late or was declared unknown. Whoever inserts the row may write that outcome.
create table audit_settled (
  scope_id uuid not null,
  intent_id uuid not null,
  settled_at timestamptz not null default clock_timestamp(),
  primary key (scope_id, intent_id)
);

-- Nonces of signatures of even and of odd half-hours, by turns: when a half-hour begins anew, what its table holds has lapsed.
create table nonces_even (
  app_id uuid not null,
  ts bigint not null,
  digest bytea not null,
  primary key (app_id, ts, digest)
);
create table nonces_odd (like nonces_even including all);

-- Empties the table that is not in use. A signature is valid for at most 300 s around its time: in the middle third of a half-hour
-- nothing in the other table can be valid still or already.
create function forget_nonces(p_now bigint default extract(epoch from clock_timestamp())::bigint) returns void
  language plpgsql security definer set search_path = pg_catalog, public as
$$
begin
  if p_now % 1800 not between 600 and 1200 then return; end if;
  if p_now / 1800 % 2 = 0 then truncate nonces_odd; else truncate nonces_even; end if;
end
$$;

-- Rate counters, deleted when nothing was charged for longer than any window. A counter is a ring of slots in one row: slot = number of the newest slot, used[1] the oldest, used[width] the newest.
create table counters (
  app_id uuid not null,
  counter_id text not null,
  slot bigint not null,
  used integer[] not null,
  charged_at timestamptz not null default clock_timestamp(),
  primary key (app_id, counter_id)
);

create function advance_slots(p_used integer[], p_by bigint, p_add integer) returns integer[] language plpgsql immutable as
$$
declare
  v_width integer := cardinality(p_used);
  v_used integer[] := p_used;
begin
  if p_by >= v_width then
    v_used := array_fill(0, array[v_width]);
  elsif p_by > 0 then
    v_used := p_used[p_by + 1:] || array_fill(0, array[p_by::integer]);
  end if;
  v_used[v_width] := v_used[v_width] + p_add;
  return v_used;
end
$$;

create function sum_slots(p_used integer[]) returns bigint language sql immutable as
$$ select coalesce(sum(u), 0) from unnest(p_used) u $$;

-- The synchronous write of every credential use: one call, one transaction (docs/architecture.md, "The fence").
-- A batch that is there already was stored by an earlier try, with all its conditions. Every refusal raises, with the 1-based indexes
-- of what was refused in DETAIL, and nothing is written: VF001 nonce, VF002 counter (index:left), VF003 attempt, VF004 version,
-- VF005 intent settled before. Returns the app's mark, under which every version that was sent holds; while it is the app's,
-- whoever sends it needs no look at the versions.
create function append_batch(
  p_scope uuid, p_batch uuid, p_count integer, p_digest bytea, p_rows bytea, p_bodies bytea,
  p_mark uuid, p_subjects text[], p_versions bigint[],
  p_nonce_ts bigint[], p_nonce_digests bytea[],
  p_counter_ids text[], p_counter_slots bigint[], p_counter_widths integer[], p_counter_adds integer[], p_counter_maxes integer[],
  p_attempt_ids uuid[], p_attempt_owners uuid[], p_attempt_leases integer[],
  p_settled uuid[]
) returns uuid language plpgsql volatile as
$$
declare
  v_mark uuid;
  v_refused integer[];
  v_stored integer := 0;
  v_now integer;
  v_ends bigint[];
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'append_batch needs read committed, got %', current_setting('transaction_isolation');
  end if;
  perform set_config('vault.scope', p_scope::text, true), set_config('vault.app', p_scope::text, true);
  perform pg_advisory_xact_lock_shared(hashtextextended(p_scope::text, 0));

  if p_count > 0 then
    insert into audit_batches (scope_id, batch_id, count, digest, rows, bodies)
    values (p_scope, p_batch, p_count, p_digest, p_rows, p_bodies) on conflict do nothing;
    if not found then return null; end if;
  end if;

  if cardinality(p_subjects) > 0 then
    select m.mark into v_mark from fence_marks m where m.app_id = p_scope;
    if v_mark is null or v_mark is distinct from p_mark then
      select array_agg(f.i) into v_refused
      from unnest(p_subjects, p_versions) with ordinality f (subject, version, i)
      where coalesce((select t.version from fences t where t.app_id = p_scope and t.subject = f.subject), 0) <> f.version;
      if v_refused is not null then
        raise exception 'version moved' using errcode = 'VF004', detail = array_to_string(v_refused, ',');
      end if;
    end if;
  end if;

  -- They come in order of time and span less than a half-hour, so the first and the last say which tables they go to.
  if cardinality(p_nonce_ts) > 0 then
    v_ends := array[p_nonce_ts[1] / 1800 % 2, p_nonce_ts[cardinality(p_nonce_ts)] / 1800 % 2];
    if 0 = any(v_ends) then
      insert into nonces_even (app_id, ts, digest)
      select p_scope, n.ts, n.digest from unnest(p_nonce_ts, p_nonce_digests) n (ts, digest) where n.ts / 1800 % 2 = 0
      on conflict do nothing;
      get diagnostics v_stored = row_count;
    end if;
    if 1 = any(v_ends) then
      insert into nonces_odd (app_id, ts, digest)
      select p_scope, n.ts, n.digest from unnest(p_nonce_ts, p_nonce_digests) n (ts, digest) where n.ts / 1800 % 2 = 1
      on conflict do nothing;
      get diagnostics v_now = row_count;
      v_stored := v_stored + v_now;
    end if;
    if v_stored <> cardinality(p_nonce_ts) then
      -- Those of this transaction carry its id; those that were there before do not.
      select array_agg(n.i) into v_refused
      from unnest(p_nonce_ts, p_nonce_digests) with ordinality n (ts, digest, i)
      where not exists (
        select from nonces_even s where s.app_id = p_scope and s.ts = n.ts and s.digest = n.digest and s.xmin = pg_current_xact_id()::xid
        union all
        select from nonces_odd s where s.app_id = p_scope and s.ts = n.ts and s.digest = n.digest and s.xmin = pg_current_xact_id()::xid
      );
      raise exception 'nonce seen before' using errcode = 'VF001', detail = array_to_string(v_refused, ',');
    end if;
  end if;

  if cardinality(p_counter_ids) > 0 then
    with charged as (
      insert into counters as c (app_id, counter_id, slot, used)
      select p_scope, n.id, n.slot, advance_slots(array_fill(0, array[n.width]), 0, n.add)
      from unnest(p_counter_ids, p_counter_slots, p_counter_widths, p_counter_adds, p_counter_maxes) n (id, slot, width, add, max)
      where n.add <= n.max
      order by n.id
      on conflict (app_id, counter_id) do update
        set slot = greatest(c.slot, excluded.slot),
            charged_at = excluded.charged_at,
            used = advance_slots(c.used, excluded.slot - c.slot, excluded.used[cardinality(excluded.used)])
        where sum_slots(advance_slots(c.used, excluded.slot - c.slot, excluded.used[cardinality(excluded.used)]))
          <= (select n.max from unnest(p_counter_ids, p_counter_maxes) n (id, max) where n.id = excluded.counter_id)
      returning c.counter_id
    )
    select array_agg(n.i) into v_refused
    from unnest(p_counter_ids) with ordinality n (id, i)
    where not exists (select from charged s where s.counter_id = n.id);
    if v_refused is not null then
      -- What is left of each, so that the members that still fit can go on in the next try.
      raise exception 'budget spent' using errcode = 'VF002', detail = (
        select string_agg(r.i || ':' || greatest(0, p_counter_maxes[r.i] - coalesce((
            select sum_slots(advance_slots(c.used, p_counter_slots[r.i] - c.slot, 0)) from counters c
            where c.app_id = p_scope and c.counter_id = p_counter_ids[r.i]), 0)), ',')
        from unnest(v_refused) r (i));
    end if;
  end if;

  if cardinality(p_attempt_ids) > 0 then
    with sent as (
      update approval_attempts a set sent_at = clock_timestamp()
      from unnest(p_attempt_ids, p_attempt_owners, p_attempt_leases) n (id, owner, lease)
      where a.app_id = p_scope and a.attempt_id = n.id and a.owner = n.owner and a.lease_number = n.lease
        and a.sent_at is null and a.ended_at is null and a.lease_until > clock_timestamp()
      returning a.attempt_id
    )
    select array_agg(n.i) into v_refused
    from unnest(p_attempt_ids) with ordinality n (id, i)
    where not exists (select from sent s where s.attempt_id = n.id);
    if v_refused is not null then
      raise exception 'attempt no longer owned' using errcode = 'VF003', detail = array_to_string(v_refused, ',');
    end if;
  end if;

  if cardinality(p_settled) > 0 then
    with settled as (
      insert into audit_settled (scope_id, intent_id) select p_scope, n from unnest(p_settled) n order by n
      on conflict do nothing returning intent_id
    )
    select array_agg(n.i) into v_refused
    from unnest(p_settled) with ordinality n (id, i)
    where not exists (select from settled s where s.intent_id = n.id);
    if v_refused is not null then
      raise exception 'intent settled before' using errcode = 'VF005', detail = array_to_string(v_refused, ',');
    end if;
  end if;
  return v_mark;
end
$$;

create table audit_checkpoints (
  scope_id uuid not null,
  checkpoint_no bigint not null,
  message text not null,
  message_hash bytea not null,
  signature text not null,
  key_id text not null,
  issued_at timestamptz not null,
  primary key (scope_id, checkpoint_no)
);

-- One row for each audit row that has its number: what is searched for, and where in which batch the row itself stands.
-- A projection of the batches; it can be made anew at any time.
create table audit_events (
  scope_id uuid not null,
  row_no bigint not null,
  -- Place of the row's line in its batch: the byte range in its rows.
  batch_id uuid not null,
  line_at integer not null,
  line_bytes integer not null,
  event_id uuid not null,
  occurred_at timestamptz not null,
  stream text not null,
  event text not null,
  outcome text not null,
  decision_effect text,
  primary_reason text,
  key_id uuid,
  agent_id uuid,
  actor_id uuid,
  member_id uuid,
  app_user_id uuid,
  grant_id uuid,
  approval_id uuid,
  intent_id uuid,
  provider_id text,
  trace_id text,
  run_id text,
  thread_id text,
  reason text,
  method text,
  host text,
  url text,
  status integer,
  tool text,
  initiator text,
  resource_type text,
  primary key (scope_id, row_no)
);
create index audit_events_by_time on audit_events (scope_id, occurred_at, event_id);
create index audit_events_by_id on audit_events (scope_id, event_id);
create index audit_events_by_trace on audit_events (scope_id, trace_id) where trace_id is not null;
create index audit_events_by_approval on audit_events (scope_id, approval_id) where approval_id is not null;
create index audit_events_of_changes on audit_events (scope_id, stream, occurred_at, event_id) where stream <> 'runtime';

create table audit_exports (
  scope_id uuid not null,
  export_id uuid not null,
  format text not null check (format in ('ndjson', 'csv')),
  filters jsonb not null,
  -- What the export holds, fixed when it was asked for: ranges of batches and of checkpoints. Null for csv.
  extent jsonb,
  row_count integer not null,
  member_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  primary key (scope_id, export_id)
);
create index audit_exports_by_member on audit_exports (scope_id, member_id, created_at);

-- The scopes in which something waits for its place, or for the next checkpoint for 60 s; with p_all at all. Partial indexes hold
-- what waits and nothing else, so this costs nothing where nothing waits; without statistics the planner would read the tables, and a bitmap scan
-- would read what no longer waits each time. Not clock_timestamp(): no index is searched for a value that changes within the statement.
create function audit_due_scopes(p_all boolean) returns table (scope_id uuid)
  language sql stable security definer set search_path = pg_catalog, public set enable_seqscan = off set enable_bitmapscan = off as
$$
  select distinct b.scope_id from audit_batches b where b.sequence is null
  union
  select s.scope_id from audit_scopes s
  where s.unsigned_since <= now() - case when p_all then interval '0' else interval '60 seconds' end
$$;

-- The lines of a batch with the byte range of each.
create function audit_lines(p_rows bytea)
  returns table (ordinal bigint, line_at integer, line_bytes integer, keep text, detail text)
  language sql immutable parallel safe as
$$
  select l.ordinal,
    (sum(octet_length(l.line) + 1) over (order by l.ordinal) - octet_length(l.line) - 1)::integer,
    octet_length(l.line),
    split_part(l.line, E'\t', 1),
    nullif(split_part(l.line, E'\t', 2), '')
  from string_to_table(convert_from(p_rows, 'UTF8'), E'\n') with ordinality l (line, ordinal)
  where l.line <> ''
$$;

-- Gives batches their places behind p_after, if any, and makes rows searchable: one element of each array for each row. The caller holds
-- the row of audit_scopes. p_waiting: intents among these rows that wait for an outcome; p_answered: those of earlier rows that do no more.
create function sequence_batches(
  p_scope uuid, p_after bigint, p_batches uuid[], p_first_rows bigint[], p_heads bytea[], p_last_row bigint,
  p_row_nos bigint[], p_row_batches uuid[], p_line_ats integer[], p_line_bytes integer[], p_event_ids uuid[], p_times timestamptz[],
  p_streams text[], p_events text[], p_outcomes text[], p_effects text[], p_primary_reasons text[],
  p_keys uuid[], p_agents uuid[], p_actors uuid[], p_members uuid[], p_users uuid[], p_grants uuid[], p_approvals uuid[], p_intents uuid[],
  p_providers text[], p_traces text[], p_runs text[], p_threads text[], p_reasons text[], p_methods text[], p_hosts text[], p_urls text[],
  p_statuses integer[], p_tools text[], p_initiators text[], p_resource_types text[],
  p_waiting uuid[], p_waiting_times timestamptz[], p_answered uuid[]
) returns void language plpgsql volatile set jit = off set enable_seqscan = off as
$$
begin
  if cardinality(p_batches) > 0 then
    update audit_batches b set sequence = p_after + n.i, first_row = n.first_row, head = n.head
    from unnest(p_batches, p_first_rows, p_heads) with ordinality n (batch_id, first_row, head, i)
    where b.scope_id = p_scope and b.batch_id = n.batch_id;
    update audit_scopes s set sequence = p_after + cardinality(p_batches), last_row = p_last_row,
      head = p_heads[cardinality(p_heads)], unsigned_since = coalesce(s.unsigned_since, clock_timestamp())
    where s.scope_id = p_scope;
  end if;
  insert into audit_events (
    scope_id, row_no, batch_id, line_at, line_bytes, event_id, occurred_at, stream, event, outcome, decision_effect,
    primary_reason, key_id, agent_id, actor_id, member_id, app_user_id, grant_id, approval_id, intent_id, provider_id,
    trace_id, run_id, thread_id, reason, method, host, url, status, tool, initiator, resource_type)
  select p_scope, v.*
  from unnest(p_row_nos, p_row_batches, p_line_ats, p_line_bytes, p_event_ids, p_times, p_streams, p_events, p_outcomes, p_effects,
    p_primary_reasons, p_keys, p_agents, p_actors, p_members, p_users, p_grants, p_approvals, p_intents, p_providers, p_traces,
    p_runs, p_threads, p_reasons, p_methods, p_hosts, p_urls, p_statuses, p_tools, p_initiators, p_resource_types) v
  where cardinality(p_row_nos) > 0;
  if cardinality(p_waiting) > 0 then
    insert into due_work (kind, app_id, subject_id, due_at)
    select 'audit_intent', p_scope, w.id, w.at + interval '10 minutes' from unnest(p_waiting, p_waiting_times) w (id, at)
    on conflict do nothing;
  end if;
  if cardinality(p_answered) > 0 then
    delete from due_work w where w.kind = 'audit_intent' and w.app_id = p_scope and w.subject_id = any (p_answered);
  end if;
end
$$;

-- Replaces the runtime details of whole batches that were written before p_before by their hashes, from where it stopped last time,
-- at most p_max batches, in the caller's transaction, which must see the scope. The projection follows.
-- batches_seen < p_max: the log is pruned as far as it can be now.
create function prune_batches(p_scope uuid, p_before timestamptz, p_max integer)
  returns table (details_pruned integer, batches_seen integer)
  language plpgsql volatile set jit = off as
$$
declare
  v_from bigint;
  v_batch record;
  v_rows bytea;
  v_pruned integer;
  v_details integer := 0;
  v_seen integer := 0;
begin
  select s.pruned_sequence + 1 into v_from from audit_scopes s where s.scope_id = p_scope for update;
  for v_batch in
    select b.sequence, b.batch_id, b.first_row, b.rows from audit_batches b
    where b.scope_id = p_scope and b.sequence >= v_from order by b.sequence limit p_max
  loop
    exit when uuid_extract_timestamp(v_batch.batch_id) >= p_before;
    begin
      -- In canonical JSON a quotation mark inside a text is escaped, so this finds the member and nothing else.
      select count(*) filter (where r.is_due),
        convert_to(string_agg(r.keep || E'\t' || case when r.is_due
          then '#' || encode(sha256(convert_to(E'alter.audit.detail.v1\n' || r.detail, 'UTF8')), 'hex') else r.detail end
          || E'\n', '' order by r.ordinal), 'UTF8')
      into v_pruned, v_rows
      from (
        select l.*, position(',"stream":"runtime",' in l.keep) > 0 and left(l.detail, 1) <> '#' as is_due
        from audit_lines(v_batch.rows) l
      ) r;
      if v_pruned > 0 then
        update audit_batches b set rows = v_rows where b.scope_id = p_scope and b.batch_id = v_batch.batch_id;
        update audit_events e set line_at = l.line_at, line_bytes = l.line_bytes,
          method = d.method, host = d.host, url = d.url, status = d.status, tool = d.tool, initiator = d.initiator, resource_type = d.resource_type
        from audit_lines(v_rows) l
          join audit_events o on o.scope_id = p_scope and o.row_no = v_batch.first_row + l.ordinal - 1
          -- What a detail said is kept where there still is one.
          left join audit_events d on d.scope_id = o.scope_id and d.row_no = o.row_no and left(l.detail, 1) <> '#'
        where e.scope_id = o.scope_id and e.row_no = o.row_no;
        v_details := v_details + v_pruned;
      end if;
    exception when data_exception or not_null_violation then
      raise warning 'batch % of scope % cannot be pruned', v_batch.batch_id, p_scope;
    end;
    v_seen := v_seen + 1;
    update audit_scopes s set pruned_sequence = v_batch.sequence where s.scope_id = p_scope;
  end loop;
  return query select v_details, v_seen;
end
$$;

-- ───────────── idempotency ─────────────

-- Answers to calls with an Idempotency-Key, forgotten after 24 hours. scope_id is the scope: an app, or the organization for what is
-- made outside an app.
create table idempotency_records (
  scope_id uuid not null,
  operation text not null,
  idempotency_key text not null,
  body_digest bytea not null,
  status integer,
  -- Not jsonb: a repeat gets its members in the order of the first answer.
  response json,
  created_at timestamptz not null default now(),
  primary key (scope_id, operation, idempotency_key)
);
create index idempotency_records_by_age on idempotency_records (scope_id, created_at);

-- ───────────── what bumps which fence ─────────────

create function fence_app() returns trigger language plpgsql as
$$ begin perform bump_fence(coalesce(new.app_id, old.app_id), 'epoch'); return null; end $$;
create trigger apps_fence after insert or update on apps for each row execute function fence_app();
create trigger rules_fence after insert or update or delete on rules for each row execute function fence_app();

create function fence_organization() returns trigger language plpgsql as
$$
declare
  v_app uuid;
  v_before text := current_setting('vault.app', true);
begin
  -- Outside its organization's scope a change would not see the apps whose decisions it changes.
  if vault_organization() is distinct from coalesce(new.organization_id, old.organization_id) then
    raise exception 'a change of organization % needs its scope', coalesce(new.organization_id, old.organization_id);
  end if;
  for v_app in
    select app_id from apps where organization_id = coalesce(new.organization_id, old.organization_id) order by app_id
  loop
    perform set_config('vault.app', v_app::text, true);
    perform bump_fence(v_app, 'epoch');
  end loop;
  perform set_config('vault.app', coalesce(v_before, ''), true);
  return null;
end
$$;
create trigger organization_rules_fence after insert or update or delete on organization_rules
  for each row execute function fence_organization();
create trigger organizations_fence after update on organizations for each row execute function fence_organization();

create function fence_key() returns trigger language plpgsql as
$$ begin perform bump_fence(coalesce(new.app_id, old.app_id), 'key:' || coalesce(new.key_id, old.key_id)); return null; end $$;
create trigger keys_fence after insert or update or delete on keys for each row execute function fence_key();

create function fence_agent() returns trigger language plpgsql as
$$ begin perform bump_fence(coalesce(new.app_id, old.app_id), 'agent:' || coalesce(new.agent_id, old.agent_id)); return null; end $$;
create trigger agents_fence after insert or update or delete on agents for each row execute function fence_agent();

create function fence_secret() returns trigger language plpgsql as
$$
begin
  perform bump_fence(coalesce(new.app_id, old.app_id), 'secret:' || coalesce(new.managed_secret_id, old.managed_secret_id));
  return null;
end
$$;
create trigger managed_secrets_fence after insert or update or delete on managed_secrets
  for each row execute function fence_secret();

create function fence_credential() returns trigger language plpgsql as
$$
begin
  perform bump_fence(coalesce(new.app_id, old.app_id), 'credential:' || coalesce(new.credential_id, old.credential_id));
  return null;
end
$$;
create trigger credentials_fence after insert or update or delete on credentials
  for each row execute function fence_credential();

create function fence_grant() returns trigger language plpgsql as
$$
declare
  v_app uuid := coalesce(new.app_id, old.app_id);
begin
  perform bump_fence(v_app, 'grant:' || coalesce(new.grant_id, old.grant_id));
  if tg_op <> 'UPDATE' or new.status is distinct from old.status or new.label is distinct from old.label then
    perform bump_fence(v_app, 'principal:' || coalesce(new.principal_type, old.principal_type) || ':' ||
      coalesce(new.principal_id::text, old.principal_id::text, ''));
  end if;
  return null;
end
$$;
create trigger grants_fence after insert or update or delete on grants for each row execute function fence_grant();

-- A principal that has no grant yet is a fact too: these subjects exist from the start.
create function fence_new_app() returns trigger language plpgsql as
$$ begin perform bump_fence(new.app_id, 'principal:system:'); return null; end $$;
create trigger apps_fence_principal after insert on apps for each row execute function fence_new_app();
create function fence_new_agent() returns trigger language plpgsql as
$$ begin perform bump_fence(new.app_id, 'principal:agent:' || new.agent_id); return null; end $$;
create trigger agents_fence_principal after insert on agents for each row execute function fence_new_agent();

-- ───────────── row-level security and rights ─────────────

do $$
declare
  t text;
begin
  foreach t in array array[
    'fences', 'fence_marks', 'data_keys', 'agents', 'keys', 'last_uses', 'actors', 'managed_secrets', 'credentials', 'grants',
    'rules', 'approval_groups', 'approval_gates', 'approval_decisions', 'approval_attempts', 'nonces_even', 'nonces_odd', 'counters'
  ] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy app_boundary on %I using (app_id = (select vault_app())) with check (app_id = (select vault_app()))', t);
  end loop;
  foreach t in array array[
    'rule_versions', 'audit_batches', 'audit_events', 'audit_checkpoints', 'audit_settled', 'audit_exports', 'idempotency_records'
  ] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy scope_boundary on %I using (scope_id = (select vault_scope())) with check (scope_id = (select vault_scope()))', t);
  end loop;
  foreach t in array array['members', 'personal_access_tokens', 'organization_rules'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy organization_boundary on %I using (organization_id = (select vault_organization())) with check (organization_id = (select vault_organization()))', t);
  end loop;
end
$$;

-- For audit_due_scopes(), which runs with the rights of the owner and gives ids away, no rows.
create policy owner_finds_unsequenced on audit_batches for select to current_user using (sequence is null);

-- An app is listed by its organization and read on its own.
alter table apps enable row level security;
alter table apps force row level security;
create policy app_boundary on apps
  using (app_id = (select vault_app()) or organization_id = (select vault_organization()))
  with check (app_id = (select vault_app()) or organization_id = (select vault_organization()));

-- An organization's rules are part of each of its apps' decisions.
create policy app_reads on organization_rules for select
  using (organization_id = (select a.organization_id from apps a where a.app_id = (select vault_app())));

grant usage on schema public to alter_vault_server;
grant select, insert, update, delete on all tables in schema public to alter_vault_server;
revoke update, delete on audit_checkpoints, audit_signing_keys from alter_vault_server;
revoke delete on audit_batches from alter_vault_server;
grant update (valid_until) on audit_signing_keys to alter_vault_server;
grant execute on all functions in schema public to alter_vault_server;
