#!/usr/bin/env bash
# A SLURM cluster of this one machine: one_node.sh start|stop DIR, as root, without systemd.
# Everything it writes is in DIR. A requeued job may start when its credentials expire, after
# cred_expire seconds, not two minutes. Partition `high` pre-empts `main`, whose jobs are requeued.
set -euo pipefail
command=$1 dir=$2
host=$(hostname -s)
export SLURM_CONF=$dir/slurm.conf

configure() {
    mkdir -p "$dir"/{state,spool,mysql}
    chmod 755 "$dir"
    (umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
    local memory
    memory=$(awk '/MemTotal/ {print int($2 / 1024) - 256}' /proc/meminfo)
    cat >"$SLURM_CONF" <<EOF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
SlurmdUser=root
AuthInfo=socket=$dir/munge.socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=26819
AccountingStoragePass=$dir/munge.socket
JobAcctGatherType=jobacct_gather/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory
PartitionName=main Nodes=$host Default=YES PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=$host PriorityTier=2 PreemptMode=OFF
EOF
    cat >"$dir/slurmdbd.conf" <<EOF
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=26819
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=26806
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
LogFile=$dir/slurmdbd.log
PidFile=$dir/slurmdbd.pid
EOF
    chmod 600 "$dir/slurmdbd.conf"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { echo "error: gave up on: $*; logs in $dir" >&2; exit 1; }
        sleep 0.2
    done
}

database() { mariadb --no-defaults --socket="$dir/mysql.socket" "$@"; }

start() {
    configure
    munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" \
        --pid-file="$dir/munged.pid" --log-file="$dir/munged.log" --seed-file="$dir/munged.seed"
    mariadb-install-db --no-defaults --user=root --datadir="$dir/mysql" --skip-test-db \
        --auth-root-authentication-method=normal >"$dir/mariadb-install.log" 2>&1
    mariadbd --no-defaults --user=root --datadir="$dir/mysql" --bind-address=127.0.0.1 \
        --port=26806 --socket="$dir/mysql.socket" --pid-file="$dir/mariadbd.pid" \
        --innodb-buffer-pool-size=32M >"$dir/mariadbd.log" 2>&1 &
    wait_for 60 database -e 'select 1'
    database -e "create database slurm; create user slurm@'127.0.0.1' identified by 'slurm';
        create user slurm@localhost identified by 'slurm';
        grant all on slurm.* to slurm@'127.0.0.1'; grant all on slurm.* to slurm@localhost;"
    slurmdbd
    wait_for 60 sacctmgr -n show cluster
    sacctmgr -i add cluster test >/dev/null
    slurmctld -i
    slurmd -N "$host"
    wait_for 60 bash -c 'sinfo -h -o %T | grep -q idle'
}

stop() {
    local name
    for name in slurmd slurmctld slurmdbd mariadbd munged; do
        [ ! -s "$dir/$name.pid" ] || kill "$(cat "$dir/$name.pid")" || true
    done
}

"$command"
