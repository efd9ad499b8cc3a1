#!/usr/bin/env bash
# A search on a Slurm cluster: one chief and seven workers; the folder must be shared by all machines.
#   sbatch examples/cluster/slurm.sh
#SBATCH --job-name=twoarg-search
#SBATCH --ntasks=8
#SBATCH --cpus-per-task=2
#SBATCH --time=08:00:00
set -euo pipefail

out=${OUT:-$PWD/search}
node=${SLURMD_NODENAME:-$(hostname -s)}
address=$node:${PORT:-18000}
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-2}  # srun does not take it from sbatch since Slurm 22.05
search=(--arm two_arg --arm relu --data "${DATA:-mnist5k}" --tuner bayesian --trials "${TRIALS:-40}" --epochs "${EPOCHS:-20}")

srun --nodes=1 --ntasks=1 --nodelist="$node" --exclusive twoarg tune --chief "$address" --out "$out" "${search[@]}" &
chief=$!
for worker in $(seq 2 "${SLURM_NTASKS:-8}"); do
  srun --nodes=1 --ntasks=1 --exclusive twoarg tune --worker "$address" --out "$out" --name "worker-$worker" &
done
wait "$chief"  # its exit status is the job's; the search ends with it
# A job that was killed goes on when it is submitted again with the same OUT.
